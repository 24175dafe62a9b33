"""Image layers (tar, those of foreign bases also gzipped) unpacked into one root, never outside
of it."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from typing import Callable, Iterable, List

from yardarm_wire.problems import NotVerified

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
MAX_LINKS = 40

Advance = Callable[[int], None]


def unpack(layers: Iterable[str], root: str, advance: Advance) -> None:
    """Unpack layer files in order into the folder `root`, which is made.

    Args:
        advance: told the number of bytes of each member.

    Raises:
        NotVerified: a member would leave the root, or is a device node; it is named. Or the
            layer is no whole tar.
    """
    os.makedirs(root, 0o755)
    for layer in layers:
        try:
            _layer(layer, root, advance)
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise NotVerified("a layer is no whole tar: %s" % error, layer) from None


def _layer(layer: str, root: str, advance: Advance) -> None:
    with tarfile.open(layer, "r:*") as archive:
        for member in archive:
            _place(archive, member, root)
            advance(member.size)
            archive.members = []  # type: ignore[attr-defined]  # else it keeps all in memory


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, root: str) -> None:
    parts = _parts(member.name)
    if not parts:
        return
    folder = resolve(root, parts[:-1], member.name)
    os.makedirs(folder, 0o755, exist_ok=True)
    name = parts[-1]
    if name == OPAQUE:
        for entry in os.listdir(folder):
            remove(os.path.join(folder, entry))
    elif name.startswith(WHITEOUT):
        if name[len(WHITEOUT) :] in ("", ".", ".."):
            raise NotVerified("a whiteout of nothing", member.name)
        remove(os.path.join(folder, name[len(WHITEOUT) :]))
    else:
        _write(archive, member, os.path.join(folder, name), root)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, root: str) -> None:
    if member.isdir():
        if not os.path.isdir(path) or os.path.islink(path):
            remove(path)
            os.mkdir(path)
        os.chmod(path, member.mode & 0o7777)
        return
    remove(path)
    if member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        _link(member, path, root)
    elif member.isfile():
        source = archive.extractfile(member)
        assert source is not None
        with open(path, "xb") as target:
            shutil.copyfileobj(source, target, 1 << 18)
        os.chmod(path, member.mode & 0o7777)
    else:
        raise NotVerified("a device node or pipe in a layer", member.name)


def _link(member: tarfile.TarInfo, path: str, root: str) -> None:
    """A hard link below the root. To a symlink it is one to the link itself, not to what
    that names outside of a chroot."""
    parts = _parts(member.linkname)
    source = os.path.join(resolve(root, parts[:-1], member.name), *parts[-1:])
    if os.path.islink(source):
        os.symlink(os.readlink(source), path)
    elif os.path.isfile(source):
        os.link(source, path)
    else:
        raise NotVerified("a hard link to nothing", member.name)


def _parts(name: str) -> List[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise NotVerified("a member leaves the root", name)
    return parts


def resolve(root: str, parts: List[str], member: str) -> str:
    """The folder below `root` that `parts` lead to, links followed as inside a chroot."""
    done: List[str] = []
    todo = list(reversed(parts))
    links = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = done[:-1]
            continue
        path = os.path.join(root, *done, part)
        if not os.path.islink(path):
            done.append(part)
            continue
        links += 1
        if links > MAX_LINKS:
            raise NotVerified("links lead in a circle", member)
        target = os.readlink(path)
        done = [] if target.startswith("/") else done
        todo.extend(reversed(target.split("/")))
    return os.path.join(root, *done)


def remove(path: str) -> None:
    """Remove a file, a link or a whole folder, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
