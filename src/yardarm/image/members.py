"""A foreign layer's members, read as a stream and refused where they would do harm."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from yardarm.digest import Digest
from yardarm.errors import InvalidInput, Unsupported, VerificationFailed

LARGEST = 8 << 30
"""Bytes of one member, at most; the largest libraries of Jetson bases have about one GB."""

WHOLE = 64 << 30
"""Bytes of a layer's tar, at most."""

_HEADER = 1 << 20
"""Bytes of a header that names a long path or its attributes: Linux has paths of 4 KiB."""

_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


class Header(tarfile.TarInfo):
    """Refuses headers that would be read into memory whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENDED and found.size > _HEADER:
            raise _Harmful(f"a header of {found.size} bytes", found.name)
        return found


class _Harmful(Exception):
    def __init__(self, what: str, member: str) -> None:
        super().__init__(what)
        self.what, self.member = what, member


class _Counted:
    """A stream that is hashed as it is read, and ends in an error when it is endless."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        self._size += len(data)
        if self._size > WHOLE:
            raise _Harmful(f"a layer of more than {WHOLE >> 30} GiB", "")
        return data

    def digest(self) -> Digest:
        """Of all, to its end."""
        while self.read(1 << 20):
            pass
        return Digest("sha256:" + self._hash.hexdigest())


def members(
    file: Path, media_type: str, expected: Digest, name: str
) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Each member, and of files their bytes, which are there until the next one is asked for.

    Args:
        expected: digest of the uncompressed tar (diff_id); checked at the end.
        name: of the base, for errors.

    Raises:
        InvalidInput: a member would leave the root, is a device or pipe, or is far too large.
        VerificationFailed: damaged, or not what `expected` says.
        Unsupported: a compression that devices can't unpack.
    """
    with refusing(name), _opened(file, media_type, name) as stream:
        counted = _Counted(stream)
        with tarfile.open(
            fileobj=cast("Any", counted), mode="r|", tarinfo=Header, bufsize=1 << 18
        ) as archive:
            for member in archive:
                check(member)
                yield member, archive.extractfile(member) if member.isfile() else None
        found = counted.digest()
    if found != expected:
        raise VerificationFailed("a layer is not what its config says", where=f"{name}: {expected}")


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """What tarfile and `check` raise inside, as errors that name the base and the member."""
    try:
        yield
    except _Harmful as error:
        raise InvalidInput(
            f"the base has {error.what}",
            where=f"{name}: {error.member!r}" if error.member else name,
            hint="no image needs that: take the base from who made it, or make it anew",
        ) from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise VerificationFailed(f"the base is damaged: {error}", where=name) from None


def check(member: tarfile.TarInfo) -> None:
    """Raises _Harmful for what no image needs and what would lead out of its root."""
    if member.name.startswith("/"):
        raise _Harmful("an absolute path", member.name)
    if ".." in member.name.split("/"):
        raise _Harmful("a path that leaves the root", member.name)
    if member.isdev():
        raise _Harmful("a device node or pipe", member.name)
    if member.size > LARGEST:
        raise _Harmful(f"a member of {member.size} bytes", member.name)
    if member.islnk() and (member.linkname.startswith("/") or _leaves("", member.linkname)):
        raise _Harmful("a hard link that leaves the root", member.name)
    if member.issym() and _leaves(posixpath.dirname(member.name), member.linkname):
        raise _Harmful("a link that leaves the root", member.name)


def _leaves(folder: str, target: str) -> bool:
    """Absolute targets are below the image's own root."""
    if target.startswith("/"):
        return False
    return posixpath.normpath(posixpath.join(folder, target)).split("/")[0] == ".."


@contextmanager
def _opened(file: Path, media_type: str, name: str) -> Iterator[IO[bytes]]:
    """The tar, uncompressed. Its own first bytes say how it is compressed, as docker reads it."""
    with file.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(stream) as tar:
                yield cast("IO[bytes]", tar)
        elif head == b"\x28\xb5\x2f\xfd" or media_type.endswith("zstd"):
            raise Unsupported(
                "a layer is compressed by zstd, which devices can't unpack",
                where=name,
                hint="`skopeo copy --dest-compress-format gzip` makes it one that they can",
            )
        else:
            yield stream
