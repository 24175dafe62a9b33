"""An image as one file to carry: an OCI archive that older Docker loads too.

Layers are compressed, so that what is carried, pushed and signed is one manifest. What is
attached to it comes along, listed in index.json behind the image.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yardarm.artifacts import Descriptor, Image
from yardarm.digest import canonical_json
from yardarm.events import Sink, silent, step
from yardarm.image import entries
from yardarm.image.attachments import Attachment
from yardarm.image.entries import Entry
from yardarm.image.layer import write
from yardarm.image.packing import described
from yardarm.image.room import enough_room
from yardarm.store import Store
from yardarm.store.layout import REFERENCE
from yardarm_wire.files import FILES


def save(
    image: Image,
    store: Store,
    file: Path,
    *,
    name: str,
    attachments: Sequence[Attachment] = (),
    sink: Sink = silent,
) -> None:
    """Write the image to `file`, which afterwards is whole or as it was before.

    Args:
        image: as it shall be carried; `packed` makes it small.
        name: repository and tag that `docker load` gives it, such as `angle:latest`.

    Raises:
        YardarmError: no space left.
    """
    with step(sink, "image/archive", "write the archive") as progress, enough_room(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(_members(image, store, name, attachments), file)
        progress.detail = f"{file} ({file.stat().st_size / 1e6:.1f} MB)"


def _write(members: Iterator[Entry], file: Path) -> None:
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            write(members, stream)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            FILES.sync(stream.fileno())
        FILES.rename(partial, str(file))
    finally:
        Path(partial).unlink(missing_ok=True)


def _members(
    image: Image, store: Store, name: str, attachments: Sequence[Attachment]
) -> Iterator[Entry]:
    manifest = described(image, store)
    beside = [blob for each in attachments for blob in (each.manifest, *each.blobs)]
    yield from (_blob(store, blob) for blob in (manifest, image.config, *image.layers, *beside))
    yield entries.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield entries.file("index.json", canonical_json(_index(manifest, name, attachments)))
    yield entries.file("manifest.json", canonical_json(_docker(image, name)))


def _blob(store: Store, blob: Descriptor) -> Entry:
    path = store.path(blob.digest)
    return Entry(_place(blob), "file", size=blob.size, open=lambda: path.open("rb"))


def _place(blob: Descriptor) -> str:
    return "blobs/" + blob.digest.replace(":", "/")


def _index(manifest: Descriptor, name: str, attachments: Sequence[Attachment]) -> dict[str, Any]:
    names = {REFERENCE: name.rpartition(":")[2], "io.containerd.image.name": name}
    entry = manifest.to_oci() | {"annotations": names}
    beside = [each.manifest.to_oci() | {"artifactType": each.kind} for each in attachments]
    return {"schemaVersion": 2, "manifests": [entry, *beside]}


def _docker(image: Image, name: str) -> list[dict[str, Any]]:
    """What Docker before version 25 reads."""
    layers = [_place(layer) for layer in image.layers]
    return [{"Config": _place(image.config), "RepoTags": [name], "Layers": layers}]
