"""What a layer holds, before it is written: an entry a file, wherever its bytes lie."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal


@dataclass(frozen=True)
class Entry:
    """One member of a layer.

    Attributes:
        path: below the image's root, without a leading slash.
        executable: of files; folders always are.
        sticky: of folders: everyone may write, as in /tmp.
        target: of symlinks: where it points, unchanged.
        size: of files, in bytes.
        open: of files: their bytes, read once.
        inode: files with the same one are hard links of each other; None: it has no others.
    """

    path: str
    kind: Literal["folder", "file", "symlink"]
    executable: bool = False
    sticky: bool = False
    target: str = ""
    size: int = 0
    open: Callable[[], IO[bytes]] = io.BytesIO
    inode: Hashable | None = None


def folder(path: str, *, sticky: bool = False) -> Entry:
    return Entry(path, "folder", sticky=sticky)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, "symlink", target=target)


def file(path: str, data: bytes, *, executable: bool = False) -> Entry:
    return Entry(path, "file", executable, size=len(data), open=lambda: io.BytesIO(data))


def moved(entry: Entry, below: str) -> Entry:
    """The entry as it is called when its root lies at `below`."""
    return replace(entry, path=f"{below}/{entry.path}")


def from_folder(root: Path) -> Iterator[Entry]:
    """Everything in the folder `root`."""
    for parent, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(parent, name)
            yield from_disk(path, str(path.relative_to(root)))


def from_disk(path: Path, name: str) -> Entry:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return symlink(name, str(path.readlink()))
    if stat.S_ISDIR(found.st_mode):
        return folder(name)
    return Entry(
        name,
        "file",
        executable=bool(found.st_mode & stat.S_IXUSR),
        size=found.st_size,
        open=lambda: path.open("rb"),
        inode=(found.st_dev, found.st_ino) if found.st_nlink > 1 else None,
    )


def from_tar(archive: tarfile.TarFile) -> Iterator[Entry]:
    """The members of an open, seekable tar but for devices and pipes, which engines make."""
    for member in archive:
        path = _path(member.name)
        if path and not member.isdev():
            yield _from_member(archive, member, path)


def _from_member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Entry:
    if member.issym():
        return symlink(path, member.linkname)
    if member.isdir():
        return folder(path, sticky=bool(member.mode & stat.S_ISVTX))
    first = archive.getmember(member.linkname) if member.islnk() else member
    return Entry(
        path,
        "file",
        executable=bool(first.mode & stat.S_IXUSR),
        size=first.size,
        open=lambda: archive.extractfile(first) or io.BytesIO(),
        inode=_path(first.name),
    )


def _path(name: str) -> str:
    """`./usr/bin/` as `usr/bin`; the root itself as nothing."""
    return "" if name == "." else name.removeprefix("./").strip("/")
