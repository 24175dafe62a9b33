"""Files that an image carries twice: one layer's hidden by another's, or the same bytes."""

from __future__ import annotations

import hashlib
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yardarm import digest
from yardarm.artifacts import MEDIA_LAYER, Descriptor
from yardarm.image.layer import Layer
from yardarm.store import Store

_RULES = 1
_SMALL = 4096
"""Bytes; files that are smaller don't make an image large."""


@dataclass(frozen=True)
class Duplicate:
    """Bytes that are in two layers.

    Attributes:
        paths: where they lie, the lowest layer's first; one path where it is the same in both,
            so that the upper layer hides the lower one's.
        layers: their layers' names.
        size: of one of them, in bytes.
    """

    paths: tuple[str, ...]
    layers: tuple[str, ...]
    size: int


def duplicates(layers: Sequence[Layer], store: Store) -> tuple[Duplicate, ...]:
    """Across the layers that were made here, the largest first. What each layer holds is a step
    of the store."""
    own = [(layer.name, _files(layer.blob, store)) for layer in layers if not layer.diff_id]
    return tuple(sorted(_found(own), key=lambda each: (-each.size, each.paths)))


def _found(own: Sequence[tuple[str, dict[str, list[str]]]]) -> Iterator[Duplicate]:
    places: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    content: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for name, files in own:
        for path, (size, found) in files.items():
            places[path].append((name, path, int(size)))
            content[found].append((name, path, int(size)))
    for path, there in places.items():
        if len(there) > 1:
            yield Duplicate((path,), tuple(each[0] for each in there), there[0][2])
    for there in content.values():
        once = {name: (name, path, size) for name, path, size in reversed(there)}
        paths = tuple(path for _, path, _ in reversed(once.values()))
        if len(once) > 1 and len(set(paths)) > 1:
            names = tuple(name for name, _, _ in reversed(once.values()))
            yield Duplicate(paths, names, there[0][2])


def _files(blob: Descriptor, store: Store) -> dict[str, list[str]]:
    """Path to size and digest, of the files in a layer that are not small."""
    key = digest.of_json(["image/files", _RULES, _SMALL, blob.digest])
    found: dict[str, list[str]] | None = store.step(key)
    if found is None:
        found = _read(blob, store) if blob.media_type == MEDIA_LAYER else {}
        store.record_step(key, found)
    return found


def _read(blob: Descriptor, store: Store) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with tarfile.open(store.path(blob.digest), "r:") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None and member.size >= _SMALL:
                text = hashlib.sha256(stream.read()).hexdigest()
                found[member.name] = [str(member.size), text]
    return found
