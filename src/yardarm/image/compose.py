"""Images composed from layers, the least often changed lowest; nothing is executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yardarm.artifacts import MEDIA_CONFIG, Descriptor, Image
from yardarm.digest import Digest, canonical_json
from yardarm.errors import Unsupported
from yardarm.events import Note, Sink, silent, step
from yardarm.image import application, base, jetson, packages, resolving, runtime, tree, wheels
from yardarm.image.config import config
from yardarm.image.layer import Layer
from yardarm.image.requirements import locked, request
from yardarm.image.room import enough_room
from yardarm.image.spec import Spec
from yardarm.lockfile import Lock, Wheels
from yardarm.profiles import Profile, release_for
from yardarm.store import Store

_Step = Callable[[str, Digest, Callable[[], Mapping[str, Any]]], Layer]


@dataclass(frozen=True)
class Layers:
    """An image's finished layers, lowest first, and what they came to.

    Attributes:
        spec: what was asked for.
        lock: the versions and digests that it came to.
    """

    parts: tuple[Layer, ...]
    spec: Spec
    lock: Lock


def compose(
    spec: Spec,
    profile: Profile,
    store: Store,
    sink: Sink = silent,
    *,
    lock: Lock,
    reference: str | None = None,
) -> Image:
    """An aarch64 image with Python, the runtime and what `spec` names, in the store.

    Layers that are in the store under the digest of their inputs are taken from there.

    Args:
        lock: versions that are kept to; `layers` tells which were found where it has none.
        reference: the image's name in the store's index.

    Raises:
        InvalidInput: a requirement is not the name of a package; the lock does not match.
        Unsupported: a requirement has no wheel for the device, or the device class has no
            base that can be composed here.
        YardarmError: no space left; the store has no part of what could not be finished.
    """
    return assemble(layers(spec, profile, store, sink, lock=lock), store, reference=reference)


def layers(
    spec: Spec, profile: Profile, store: Store, sink: Sink = silent, *, lock: Lock
) -> Layers:
    """The image's layers, and the lock as it is with them. Raises as `compose` does."""
    if profile.runtime.target != "onnxruntime":
        raise _needs_a_base(profile)
    wanted = request(spec.requirements, profile, spec.constraints)
    pinned = locked(lock, wanted) or resolving.resolve(wanted, sink)
    code = runtime.sources()

    def layer(name: str, key: Digest, make: Callable[[], Mapping[str, Any]]) -> Layer:
        return _layer(name, key, make, store, sink)

    with enough_room(store.root):
        bottom = layer(
            "base",
            base.key(profile.os, spec.keep),
            lambda: base.make(profile.os, store, sink, spec.keep),
        )
        parts = (
            bottom,
            *_packages(spec, profile.os.suite, bottom, layer, store, sink=sink),
            layer(
                "wheels",
                wheels.key(wanted, pinned, spec.keep),
                lambda: wheels.make(wanted, pinned, store, sink, spec.keep),
            ),
            *_application(spec, layer, store),
            layer("runtime", runtime.key(code), lambda: runtime.make(code, store)),
        )
    for text in (text for part in parts for text in part.warnings):
        sink(Note(text, "warning"))
    lock = lock.with_wheels(wanted.target, Wheels(wanted.requirements, pinned))
    return Layers(parts, spec, lock)


def _packages(
    spec: Spec, suite: str, bottom: Layer, layer: _Step, store: Store, *, sink: Sink
) -> Iterator[Layer]:
    if spec.packages:
        on = tree.read([bottom.blob], store, name="base")
        key = packages.key(spec.packages, suite, on, spec.keep, foreign=False)
        yield layer(
            "system",
            key,
            lambda: packages.make(
                spec.packages, suite, on, store, foreign=False, keep=spec.keep, sink=sink
            ),
        )


def _application(spec: Spec, layer: _Step, store: Store) -> Iterator[Layer]:
    if spec.source:
        files = application.read(spec.source, spec.keep)
        key = application.key(files)
        yield layer("application", key, lambda: application.make(files, store))


def _needs_a_base(profile: Profile) -> Unsupported:
    """Says which recipe makes the image, on which base, and what comes from there."""
    found = jetson.base(release_for(profile))
    brought = ", ".join(f"{name} {version}" for name, version in found.brings.items())
    return Unsupported(
        f"an image with {profile.runtime.target} can't be composed here: it needs its maker's base",
        where=profile.name,
        hint=f"build it with docker/{found.recipe} on {found.name}, "
        f"which brings {brought} (docker/README.md)",
    )


def assemble(made: Layers, store: Store, *, reference: str | None = None) -> Image:
    """Config and manifest over finished layers."""
    contents = _contents(made.parts)
    labels = {"yardarm.version": contents["yardarm_runtime"]}
    with enough_room(store.root):
        settings = store.put(canonical_json(config(made.parts, made.spec, labels)), MEDIA_CONFIG)
        blobs = tuple(part.blob for part in made.parts)
        manifest = store.put_manifest(
            config=settings,
            layers=blobs,
            annotations={"yardarm.contents": canonical_json(contents).decode()},
            reference=reference,
        )
    return Image(manifest.digest, settings, blobs, contents)


def _contents(parts: Sequence[Layer]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for part in parts:
        merged |= part.contents
    return dict(sorted(merged.items()))


def _layer(
    name: str, key: Digest, make: Callable[[], Mapping[str, Any]], store: Store, sink: Sink
) -> Layer:
    """A layer from the store, or made and recorded there."""
    with step(sink, f"image/{name}", f"{name} layer") as progress:
        record = store.step(key)
        progress.cached = record is not None and store.has(Digest(record["blob"]["digest"]))
        if record is None or not progress.cached:
            record = make()
            store.record_step(key, record)
        blob = Descriptor.from_oci(record["blob"])
        progress.detail = f"{blob.size / 1e6:.1f} MB, {len(record['contents'])} packages"
    return Layer(
        name,
        blob,
        record["contents"],
        progress.cached,
        weights=record.get("weights", {}),
        left_out=record.get("left_out", {}),
        warnings=tuple(record.get("warnings", ())),
    )
