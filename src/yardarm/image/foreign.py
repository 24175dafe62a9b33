"""Bases that somebody else made: from a registry, an OCI layout or an archive.

Their layers stay byte for byte as they came; what they hold is read once, and refused where it
would do harm on a device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yardarm import registry
from yardarm.artifacts import Descriptor
from yardarm.digest import Digest
from yardarm.errors import InvalidInput, Unsupported
from yardarm.events import step
from yardarm.image import layouts, tree
from yardarm.image.layer import Layer
from yardarm.image.layouts import Loaded
from yardarm.image.making import Maker
from yardarm.image.spec import Spec
from yardarm.image.tree import Tree
from yardarm.lockfile import Lock
from yardarm.registry import manifests

_DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
_OCI = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Foreign:
    """A base in the store.

    Attributes:
        name: as the project has it.
        digest: what to pin it by.
        config: its image config.
    """

    name: str
    digest: Digest
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    tree: Tree


def load(spec: Spec, maker: Maker, lock: Lock) -> Foreign:
    """Bring a project's base into the store, and read what it holds.

    Raises:
        InvalidInput: no such base, another one than the lock has, or one that would do harm.
        Unsupported: not for arm64.
        VerificationFailed: damaged. Unreachable: the registry can't be reached.
    """
    name = spec.base or ""
    found = _found(name, spec.root, maker, lock.bases.get(name))
    _expect_same(name, found.digest, lock.bases.get(name))
    config = layouts.settings(found, maker.store, name)
    if not manifests.fits(config, "linux/arm64"):
        there = manifests.name(config) or "no platform that it names"
        raise Unsupported(f"the base is for {there}, not linux/arm64", where=name)
    ids = config["rootfs"]["diff_ids"]
    with step(maker.sink, "image/look", "look into the base") as progress:
        on = tree.read(found.layers, maker.store, name=name, diff_ids=ids)
        progress.detail = f"{len(found.layers)} layers, {len(on.installed)} Debian packages"
    return Foreign(name, found.digest, config, _layers(found, ids, on), on)


def _found(name: str, root: Path, maker: Maker, pinned: Digest | None) -> Loaded:
    kind, _, rest = name.partition(":")
    if kind == "archive":
        return layouts.load_archive(root / rest, maker.store)
    if kind == "oci":
        folder, _, tag = rest.partition(":")
        return layouts.load_folder(root / folder, tag or None, maker.store)
    reference = registry.Reference.parse(name)
    wanted = reference.digest or pinned
    pulled = registry.pull(reference, maker.store, maker.sink, digest=wanted)
    return Loaded(pulled.digest, pulled.config, pulled.layers)


def _expect_same(name: str, found: Digest, before: Digest | None) -> None:
    if before not in (None, found):
        raise InvalidInput(
            f"the base is {found}, and the lock has {before}",
            where=name,
            hint="delete its line from yardarm.lock to take the new one",
        )


def _layers(found: Loaded, diff_ids: list[str], on: Tree) -> tuple[Layer, ...]:
    """The packages are told with the topmost: which layer brings one is not known."""
    last = len(found.layers) - 1
    return tuple(
        Layer(
            "base",
            _as_oci(blob),
            on.installed if number == last else {},
            cached=True,
            diff_id=diff_ids[number],
        )
        for number, blob in enumerate(found.layers)
    )


def _as_oci(blob: Descriptor) -> Descriptor:
    """The same bytes by the name that OCI manifests have for them."""
    return Descriptor(
        blob.media_type.replace(_DOCKER, _OCI).replace(".tar.gzip", ".tar+gzip"),
        blob.digest,
        blob.size,
    )
