"""The store: an OCI image layout that `skopeo` and `umoci` read as it lies there.

    oci-layout  index.json  blobs/sha256/<hex>  steps/<hex>.json

Blobs appear by rename once they are whole and synced. `index.json` names manifests by
reference. `steps` holds results of finished steps under the digest of their inputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from yardarm.artifacts import MEDIA_MANIFEST, Descriptor
from yardarm.digest import Digest, canonical_json, of_bytes, parse
from yardarm.errors import InvalidInput, VerificationFailed
from yardarm.store.lock import exclusive
from yardarm_wire.files import FILES

REFERENCE = "org.opencontainers.image.ref.name"

PARTIAL = ".partial-"
STALE = 86_400
"""Seconds after which nobody writes to a partial blob any more."""


class BlobWriter:
    """A blob of unknown digest being written; a context that leaves nothing on failure."""

    def __init__(self, blobs: Path) -> None:
        self._blobs = blobs
        handle, name = tempfile.mkstemp(prefix=PARTIAL, dir=blobs)
        self._stream = os.fdopen(handle, "wb")
        self._partial = Path(name)
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> BlobWriter:
        return self

    @property
    def digest(self) -> Digest:
        """Of what was written so far."""
        return Digest("sha256:" + self._hash.hexdigest())

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """For writers of archives, which ask for it; `commit` makes everything durable."""

    def commit(self, media_type: str, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """Make the blob part of the store."""
        digest = self.digest
        self._stream.flush()
        os.fchmod(self._stream.fileno(), 0o644)
        FILES.sync(self._stream.fileno())
        self._stream.close()
        FILES.rename(str(self._partial), str(self._blobs / digest.removeprefix("sha256:")))
        return Descriptor(media_type, digest, self.size, annotations or {})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(self._blobs)
        with suppress(OSError):  # it writes what is buffered: on a full disk that fails again
            self._stream.close()
        self._partial.unlink(missing_ok=True)


class Store:
    """A store in a folder, which is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        self._steps = root / "steps"
        self._swept = False

    def _prepare(self) -> None:
        if (self.root / "oci-layout").exists():
            return
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._steps.mkdir(parents=True, exist_ok=True)
        if self.root.parent.name == ".yardarm":
            (self.root.parent / ".gitignore").write_text("*\n")
        FILES.write(str(self.root / "oci-layout"), b'{"imageLayoutVersion":"1.0.0"}')

    def _sweep(self) -> None:
        """Remove what writers left that were killed; those of today may still be writing."""
        if not self._swept:
            self._swept = True
            for partial in self._blobs.glob(f"{PARTIAL}*"):
                with suppress(FileNotFoundError):
                    if time.time() - partial.stat().st_mtime > STALE:
                        partial.unlink()

    def path(self, digest: Digest) -> Path:
        """Where the blob lies, whether it is there or not."""
        return self._blobs / parse(digest).removeprefix("sha256:")

    def has(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def read(self, digest: Digest) -> bytes:
        """A blob's bytes, checked.

        Raises:
            VerificationFailed: missing, or its content is no longer what its name says.
        """
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise VerificationFailed("the blob is missing", where=digest) from None
        if of_bytes(data) != digest:
            raise VerificationFailed(
                "the blob is damaged", where=str(self.path(digest)), hint="delete it and run again"
            )
        return data

    def read_json(self, digest: Digest) -> Any:
        return json.loads(self.read(digest))

    def writer(self) -> BlobWriter:
        self._prepare()
        self._sweep()
        return BlobWriter(self._blobs)

    def put(
        self, data: bytes, media_type: str, annotations: Mapping[str, str] | None = None
    ) -> Descriptor:
        with self.writer() as writer:
            writer.write(data)
            return writer.commit(media_type, annotations)

    def put_file(
        self, file: Path, media_type: str, annotations: Mapping[str, str] | None = None
    ) -> Descriptor:
        with self.writer() as writer, file.open("rb") as stream:
            shutil.copyfileobj(stream, writer, 1 << 20)
            return writer.commit(media_type, annotations)

    def put_manifest(
        self,
        *,
        config: Descriptor,
        layers: Sequence[Descriptor],
        artifact_type: str | None = None,
        annotations: Mapping[str, str] | None = None,
        reference: str | None = None,
        subject: Descriptor | None = None,
    ) -> Descriptor:
        """Write an OCI image manifest; with `reference`, name it in `index.json`.

        Args:
            subject: the manifest that this one is attached to.
        """
        body: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MEDIA_MANIFEST,
            "config": config.to_oci(),
            "layers": [layer.to_oci() for layer in layers],
        }
        body |= {"artifactType": artifact_type} if artifact_type else {}
        body |= {"subject": subject.to_oci()} if subject else {}
        body |= {"annotations": dict(annotations)} if annotations else {}
        manifest = self.put(canonical_json(body), MEDIA_MANIFEST)
        if reference:
            self._name(reference, manifest, artifact_type)
        return manifest

    def _name(self, reference: str, manifest: Descriptor, artifact_type: str | None) -> None:
        entry = manifest.to_oci() | {"annotations": {REFERENCE: reference}}
        entry |= {"artifactType": artifact_type} if artifact_type else {}
        with exclusive(self.root / "index.lock", "write the store's index", wait=10.0):
            others = [item for item in self._index() if _reference(item) != reference]
            body = {"schemaVersion": 2, "manifests": [*others, entry]}
            FILES.write(str(self.root / "index.json"), canonical_json(body))

    def _index(self) -> list[dict[str, Any]]:
        file = self.root / "index.json"
        try:
            manifests = json.loads(file.read_bytes())["manifests"]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError):
            raise _damaged(file) from None
        if not isinstance(manifests, list) or not all(isinstance(x, dict) for x in manifests):
            raise _damaged(file)
        return manifests

    def resolve(self, reference: str) -> Descriptor | None:
        """The manifest that a reference names.

        Raises:
            InvalidInput: `index.json` is damaged.
        """
        for item in self._index():
            if _reference(item) == reference:
                return Descriptor.from_oci(item)
        return None

    def references(self, prefix: str) -> list[str]:
        """The names in `index.json` that begin so. Raises as `resolve` does."""
        names = (_reference(item) or "" for item in self._index())
        return sorted(name for name in names if name.startswith(prefix))

    def step(self, key: Digest) -> Any | None:
        """The recorded result of a step, by the digest of its inputs; None: not done yet.

        A damaged record says nothing: its step is done again.
        """
        try:
            return json.loads(self._step_file(key).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def record_step(self, key: Digest, result: Any) -> None:
        self._prepare()
        FILES.write(str(self._step_file(key)), canonical_json(result))

    def _step_file(self, key: Digest) -> Path:
        return self._steps / f"{parse(key).removeprefix('sha256:')}.json"


def _damaged(index: Path) -> InvalidInput:
    return InvalidInput(
        "the store's index is damaged",
        where=str(index),
        hint="delete it and run again: it only names what is in the store",
    )


def _reference(entry: Mapping[str, Any]) -> str | None:
    name: str | None = entry.get("annotations", {}).get(REFERENCE)
    return name
