"""Images on this machine's disk: an OCI layout in a folder, or an archive of one or of docker's."""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from yardarm import digest as digests
from yardarm.artifacts import MEDIA_CONFIG, MEDIA_LAYER, Descriptor
from yardarm.digest import Digest
from yardarm.errors import InvalidInput, VerificationFailed
from yardarm.image import members
from yardarm.registry import manifests
from yardarm.registry.manifests import MEDIA_LAYER_GZIP, Manifest
from yardarm.store import Store
from yardarm.store.layout import REFERENCE

_PLATFORM = "linux/arm64"
_CONFIG_LIMIT = 8 << 20
_CHUNK = 1 << 20
_DEPTH = 3


@dataclass(frozen=True)
class Loaded:
    """An image whose blobs are in the store, byte for byte as they came.

    Attributes:
        digest: what to pin it by: of the manifest or index that was named, or docker's config.
    """

    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Files(Protocol):
    """Files by their path in a layout."""

    def open(self, path: str) -> IO[bytes] | None:
        """None: there is no such file."""
        ...


class Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, path: str) -> IO[bytes] | None:
        file = self._root / path
        return file.open("rb") if file.is_file() else None


class Archive:
    """A tar, whose members are checked before any is read."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members: dict[str, tarfile.TarInfo] = {}
        for member in archive:
            members.check(member)
            self._members[posixpath.normpath(member.name)] = member

    def open(self, path: str) -> IO[bytes] | None:
        """Links are followed once: docker's older archives share layers by them."""
        member = self._members.get(path)
        if member is not None and member.issym():
            folder = posixpath.dirname(path)
            leads = posixpath.normpath(posixpath.join(folder, member.linkname))
            member = self._members.get(leads)
        if member is None or not (member.isfile() or member.islnk()):
            return None
        return self._archive.extractfile(member)


def load_folder(root: Path, tag: str | None, store: Store) -> Loaded:
    """An OCI layout.

    Args:
        tag: the image's name in it; None where it has one only.

    Raises:
        InvalidInput: no layout, no such image, or damaged.
        Unsupported: not for arm64.
        VerificationFailed: a blob is not what its digest says.
    """
    if not (root / "index.json").is_file():
        raise InvalidInput(
            "there is no OCI layout", where=str(root), hint="it has files oci-layout and index.json"
        )
    return _load(Folder(root), tag, store, str(root))


def load_archive(file: Path, store: Store) -> Loaded:
    """A tar of an OCI layout, or as `docker save` writes it; plain or gzipped. Raises as
    `load_folder` does, also for members that would lead out of it."""
    with _archive(file) as files:
        if files.open("index.json"):
            return _load(files, None, store, str(file))
        return _docker(files, store, str(file))


@contextmanager
def _archive(file: Path) -> Iterator[Archive]:
    if not file.is_file():
        raise InvalidInput("there is no such archive", where=str(file))
    with members.refusing(str(file)), tarfile.open(file, tarinfo=members.Header) as archive:
        yield Archive(archive)


def _load(files: Files, tag: str | None, store: Store, where: str) -> Loaded:
    top = _manifest(files, _named(files, tag, where), where)
    manifest = top
    for _ in range(_DEPTH):
        if manifest.is_index:
            chosen = manifests.choose(manifest, _PLATFORM, where)
            manifest = _manifest(files, chosen.digest, where)
    if manifest.is_index:
        raise InvalidInput("indexes lead to indexes", where=where)
    manifests.expect_distributed(manifest.layers, where)
    blobs = [_blob(files, each, store, where) for each in (manifest.config, *manifest.layers)]
    return Loaded(top.blob.digest, blobs[0], tuple(blobs[1:]))


def _named(files: Files, tag: str | None, where: str) -> Digest:
    """The digest of what index.json has under a tag."""
    body = _json(files, "index.json", where)
    entries = body.get("manifests") if isinstance(body, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise _damaged("index.json lists no manifests", where)
    images = [each for each in entries if "artifactType" not in each]  # no attachments
    names = {_name(each): each for each in images}
    if tag is None and len(images) > 1:
        raise InvalidInput(
            "there are several images in it",
            where=where,
            hint=f"name one of {', '.join(sorted(names))}: oci:FOLDER:TAG",
        )
    entry = images[0] if tag is None and images else names.get(tag or "")
    if entry is None:
        there = ", ".join(sorted(names)) or "nothing"
        raise InvalidInput(
            f"there is no image {tag or ''}".rstrip(), where=where, hint=f"there is {there}"
        )
    return _digest(entry.get("digest"), where)


def _name(entry: Mapping[str, Any]) -> str:
    annotations = entry.get("annotations")
    return str(annotations.get(REFERENCE, "")) if isinstance(annotations, dict) else ""


def _manifest(files: Files, digest: Digest, where: str) -> Manifest:
    data = _read(files, _place(digest), manifests.LIMIT, where)
    if digests.of_bytes(data) != digest:
        raise VerificationFailed("a manifest is not what its name says", where=f"{where}: {digest}")
    return manifests.read(data, "", where)


def _docker(files: Files, store: Store, where: str) -> Loaded:
    """As `docker save` wrote it before it wrote OCI layouts; layers are plain tars."""
    body = _json(files, "manifest.json", where)
    if not isinstance(body, list) or not body or not isinstance(body[0], dict):
        raise InvalidInput("neither an OCI archive nor one of docker's", where=where)
    if len(body) > 1:
        raise InvalidInput("there are several images in it", where=where, hint="save one alone")
    config, layers = body[0].get("Config"), body[0].get("Layers")
    if not isinstance(config, str) or not isinstance(layers, list):
        raise _damaged("manifest.json names no config and layers", where)
    settings = _copy(files, config, MEDIA_CONFIG, store, where)
    return Loaded(
        settings.digest,
        settings,
        tuple(_copy(files, str(each), MEDIA_LAYER, store, where) for each in layers),
    )


def _blob(files: Files, blob: Descriptor, store: Store, where: str) -> Descriptor:
    if not (store.has(blob.digest) and store.path(blob.digest).stat().st_size == blob.size):
        _copy(files, _place(blob.digest), blob.media_type, store, where, expected=blob)
    return blob


def _copy(
    files: Files,
    path: str,
    media_type: str,
    store: Store,
    where: str,
    *,
    expected: Descriptor | None = None,
) -> Descriptor:
    stream = files.open(posixpath.normpath(path))
    if stream is None:
        raise _damaged(f"it lacks {path}", where)
    with stream, store.writer() as writer:
        head = stream.read(_CHUNK)
        packed = head[:2] == b"\x1f\x8b" and media_type == MEDIA_LAYER and expected is None
        while head:
            writer.write(head)
            head = stream.read(_CHUNK)
        if expected and (writer.digest, writer.size) != (expected.digest, expected.size):
            raise VerificationFailed("a blob is not what its name says", where=f"{where}: {path}")
        return writer.commit(MEDIA_LAYER_GZIP if packed else media_type)


def _json(files: Files, path: str, where: str) -> Any:
    try:
        return json.loads(_read(files, path, manifests.LIMIT, where))
    except (ValueError, RecursionError):
        raise _damaged(f"{path} is not JSON", where) from None


def _read(files: Files, path: str, limit: int, where: str) -> bytes:
    stream = files.open(path)
    if stream is None:
        raise _damaged(f"it lacks {path}", where)
    with stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise _damaged(f"{path} is larger than {limit >> 20} MiB", where)
    return data


def settings(loaded: Loaded, store: Store, where: str) -> Mapping[str, Any]:
    """The image's config, with as many diff_ids as layers.

    Raises:
        InvalidInput: damaged.
    """
    if loaded.config.size > _CONFIG_LIMIT:
        raise _damaged(f"the config is larger than {_CONFIG_LIMIT >> 20} MiB", where)
    try:
        body = json.loads(store.read(loaded.config.digest))
        found = [digests.parse(each) for each in body["rootfs"]["diff_ids"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _damaged("the config names no layers", where) from None
    if len(found) != len(loaded.layers):
        raise _damaged("config and manifest name other numbers of layers", where)
    return cast("Mapping[str, Any]", body)


def _place(digest: Digest) -> str:
    return "blobs/" + digest.replace(":", "/")


def _digest(text: Any, where: str) -> Digest:
    try:
        return digests.parse(text)
    except (ValueError, TypeError):
        raise _damaged(f"{text!r} is not a sha256 digest", where) from None


def _damaged(what: str, where: str) -> InvalidInput:
    return InvalidInput(f"the image can't be used: {what}", where=where)
