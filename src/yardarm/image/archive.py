"""An image as one file to carry: an OCI archive that older Docker loads too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yardarm.artifacts import MEDIA_MANIFEST, Descriptor, Image
from yardarm.digest import canonical_json
from yardarm.events import Sink, silent, step
from yardarm.image import entries
from yardarm.image.entries import Entry
from yardarm.image.layer import write
from yardarm.image.room import enough_room
from yardarm.store import Store
from yardarm.store.layout import REFERENCE
from yardarm_wire.files import FILES


def save(image: Image, store: Store, file: Path, *, name: str, sink: Sink = silent) -> None:
    """Write the image to `file`, which afterwards is whole or as it was before.

    Args:
        name: repository and tag that `docker load` gives it, such as `angle:latest`.

    Raises:
        YardarmError: no space left.
    """
    with step(sink, "image/archive", "write the archive") as progress, enough_room(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(image, store, file, name)
        progress.detail = f"{file} ({file.stat().st_size / 1e6:.1f} MB)"


def _write(image: Image, store: Store, file: Path, name: str) -> None:
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            write(_members(image, store, name), stream)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            FILES.sync(stream.fileno())
        FILES.rename(partial, str(file))
    finally:
        Path(partial).unlink(missing_ok=True)


def _members(image: Image, store: Store, name: str) -> Iterator[Entry]:
    manifest = Descriptor(MEDIA_MANIFEST, image.digest, store.path(image.digest).stat().st_size)
    yield from (_blob(store, blob) for blob in (manifest, image.config, *image.layers))
    yield entries.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield entries.file("index.json", canonical_json(_index(manifest, name)))
    yield entries.file("manifest.json", canonical_json(_docker(image, name)))


def _blob(store: Store, blob: Descriptor) -> Entry:
    path = store.path(blob.digest)
    return Entry(_place(blob), "file", size=blob.size, open=lambda: path.open("rb"))


def _place(blob: Descriptor) -> str:
    return "blobs/" + blob.digest.replace(":", "/")


def _index(manifest: Descriptor, name: str) -> dict[str, Any]:
    entry = manifest.to_oci() | {"annotations": {REFERENCE: name.rpartition(":")[2]}}
    return {"schemaVersion": 2, "manifests": [entry]}


def _docker(image: Image, name: str) -> list[dict[str, Any]]:
    """What Docker before version 25 reads."""
    layers = [_place(layer) for layer in image.layers]
    return [{"Config": _place(image.config), "RepoTags": [name], "Layers": layers}]
