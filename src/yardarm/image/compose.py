"""Images composed from layers, the least often changed lowest; nothing is executed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from yardarm import lockfile
from yardarm.artifacts import MEDIA_CONFIG, Image
from yardarm.digest import Digest, canonical_json, of_bytes
from yardarm.events import Note, Sink, silent
from yardarm.image import application, foundation, resolving, runtime, wheels
from yardarm.image.config import config
from yardarm.image.foundation import Foundation
from yardarm.image.layer import Layer
from yardarm.image.making import Maker
from yardarm.image.requirements import Request, locked, request
from yardarm.image.room import enough_room
from yardarm.image.spec import Spec
from yardarm.lockfile import Lock, Wheels
from yardarm.profiles import Profile
from yardarm.store import Store

BASE = "org.opencontainers.image.base.digest"
APPLICATION = "application"


@dataclass(frozen=True)
class Layers:
    """An image's finished layers, lowest first, and what they came to.

    Attributes:
        spec: what was asked for.
        lock: the versions and digests that it came to.
        on: what they lie on; its layers are among the parts.
        target: what the wheels in them are for.
    """

    parts: tuple[Layer, ...]
    spec: Spec
    lock: Lock
    on: Foundation
    target: str

    @property
    def used(self) -> Lock:
        """What of the lock is in them, whatever else the project's lock holds."""
        bases = {name: found for name, found in self.lock.bases.items() if name == self.spec.base}
        return Lock(bases, {self.target: self.lock.wheels[self.target]})

    @property
    def source(self) -> Digest | None:
        """The application's layer; None without one."""
        return next((each.blob.digest for each in self.parts if each.name == APPLICATION), None)


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
    maker = Maker(store, sink)
    with enough_room(store.root):
        if spec.base is None:
            locked(lock, _wanted(spec, profile))  # told before there is a base to wait for
        on = foundation.lay(spec, profile, maker, lock)
        wanted = _wanted(spec, on.profile)
        pinned = locked(lock, wanted) or resolving.resolve(wanted, sink)
        parts = (
            *on.layers,
            maker.layer(
                "wheels",
                wheels.key(wanted, pinned, spec.keep),
                lambda: wheels.make(wanted, pinned, store, sink, spec.keep),
            ),
            *_application(spec, maker),
            _runtime(maker),
        )
    for text in (text for part in parts for text in part.warnings):
        sink(Note(text, "warning"))
    found = on.lock.with_wheels(wanted.target, Wheels(wanted.requirements, pinned))
    return Layers(parts, spec, found, on, wanted.target)


def _wanted(spec: Spec, profile: Profile) -> Request:
    return request(spec.requirements, profile, spec.constraints, jetpack=spec.jetpack)


def _application(spec: Spec, maker: Maker) -> Iterator[Layer]:
    if spec.source:
        files = application.read(spec.source, spec.keep)
        key = application.key(files)
        yield maker.layer(APPLICATION, key, lambda: application.make(files, maker.store))


def _runtime(maker: Maker) -> Layer:
    code = runtime.sources()
    return maker.layer("runtime", runtime.key(code), lambda: runtime.make(code, maker.store))


def assemble(made: Layers, store: Store, *, reference: str | None = None) -> Image:
    """Config and manifest over finished layers."""
    contents = _contents(made.parts)
    labels = {"yardarm.version": contents["yardarm_runtime"]}
    with enough_room(store.root):
        body = config(made.parts, made.spec, labels, made.on)
        settings = store.put(canonical_json(body), MEDIA_CONFIG)
        blobs = tuple(part.blob for part in made.parts)
        manifest = store.put_manifest(
            config=settings,
            layers=blobs,
            annotations=_annotations(made, contents),
            reference=reference,
        )
    return Image(manifest.digest, settings, blobs, contents)


def _annotations(made: Layers, contents: Mapping[str, str]) -> dict[str, str]:
    """What is in it, and the digests of what it was made from."""
    told = {
        "yardarm.contents": canonical_json(contents).decode(),
        "yardarm.lock": of_bytes(lockfile.dump(made.used).encode()),
    }
    sources = [("yardarm.source", made.source)] if made.source else []
    bases = [(BASE, found) for found in made.used.bases.values()]
    return told | dict([*sources, *bases])


def _contents(parts: Sequence[Layer]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for part in parts:
        merged |= part.contents
    return dict(sorted(merged.items()))
