"""Images composed from three layers, the least often changed lowest; nothing is executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from yardarm.artifacts import MEDIA_CONFIG, Descriptor, Image
from yardarm.digest import Digest, canonical_json
from yardarm.errors import Unsupported
from yardarm.events import Sink, silent, step
from yardarm.image import base, jetson, runtime, wheels
from yardarm.image.config import config
from yardarm.image.layer import Layer
from yardarm.image.requirements import request
from yardarm.image.room import enough_room
from yardarm.profiles import Profile, release_for
from yardarm.store import Store


def compose(
    requirements: Sequence[str],
    profile: Profile,
    store: Store,
    sink: Sink = silent,
    *,
    reference: str | None = None,
) -> Image:
    """An aarch64 image with Python, the runtime and `requirements`, in the store.

    Layers that are in the store under the digest of their inputs are taken from there.

    Args:
        requirements: more Python packages, as pip names them.
        reference: the image's name in the store's index.

    Raises:
        InvalidInput: a requirement is not the name of a package.
        Unsupported: a requirement has no wheel for the device, or the device class has no
            base that can be composed here.
        YardarmError: no space left; the store has no part of what could not be finished.
    """
    return assemble(layers(requirements, profile, store, sink), store, reference=reference)


def layers(
    requirements: Sequence[str], profile: Profile, store: Store, sink: Sink = silent
) -> tuple[Layer, ...]:
    """The image's layers, lowest first. Raises as `compose` does."""
    if profile.runtime.target != "onnxruntime":
        raise _needs_a_base(profile)
    wanted = request(requirements, profile)
    code = runtime.sources()
    with enough_room(store.root):
        return (
            _layer(
                "base",
                base.key(profile.os),
                lambda: base.make(profile.os, store, sink),
                store,
                sink,
            ),
            _layer(
                "wheels", wheels.key(wanted), lambda: wheels.make(wanted, store, sink), store, sink
            ),
            _layer("runtime", runtime.key(code), lambda: runtime.make(code, store), store, sink),
        )


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


def assemble(parts: Sequence[Layer], store: Store, *, reference: str | None = None) -> Image:
    """Config and manifest over finished layers."""
    contents = _contents(parts)
    with enough_room(store.root):
        body = canonical_json(config(parts, {"yardarm.version": contents["yardarm_runtime"]}))
        settings = store.put(body, MEDIA_CONFIG)
        blobs = tuple(part.blob for part in parts)
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
    return Layer(name, blob, dict(record["contents"]), progress.cached)
