"""Layers written so that equal contents give equal bytes.

Members are sorted by path; owners are 0 without names; modes are 755 or 644; all times are
one. Nothing of the folder, the user, the umask, the locale or the hour gets in.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, cast

from yardarm.artifacts import MEDIA_LAYER, Descriptor
from yardarm.image.entries import Entry, folder
from yardarm.store import Store

WRITER = 1
"""Raise it when the same entries are to give other bytes: finished layers are then made anew."""


@dataclass(frozen=True)
class Layer:
    """A finished layer.

    Attributes:
        contents: name to version of what is in it.
        cached: it lay in the store already.
        diff_id: digest of the tar; "": the blob is the tar itself, as with all that are made here.
        weights: name of a package to its bytes in the layer.
        left_out: name of a package and what of it stayed out, such as "numpy: tests", to bytes.
        warnings: what about it a user should know, a sentence each.
    """

    name: str
    blob: Descriptor
    contents: Mapping[str, str]
    cached: bool
    diff_id: str = ""
    weights: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def epoch() -> int:
    """The time that everything made here bears: SOURCE_DATE_EPOCH, or 0 (seconds)."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or 0)


def store_layer(entries: Iterable[Entry], store: Store) -> Descriptor:
    """Stream a layer into the store; a failure leaves nothing there."""
    with store.writer() as writer:
        write(entries, cast("IO[bytes]", writer))
        return writer.commit(MEDIA_LAYER)


def write(entries: Iterable[Entry], stream: IO[bytes]) -> None:
    """Write an uncompressed tar. Missing parent folders are added; of entries with the same
    path the last counts. PAX headers appear where a name or size needs one."""
    first: dict[Hashable, str] = {}
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in _ordered(entries):
            member = _member(entry)
            if entry.kind != "file":
                tar.addfile(member)
            elif entry.inode is not None and entry.inode in first:
                tar.addfile(_linked(member, first[entry.inode]))
            else:
                first[entry.inode] = entry.path
                with entry.open() as data:
                    tar.addfile(member, data)


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    found = {entry.path: entry for entry in entries}
    for path in list(found):
        for parent in map(str, PurePosixPath(path).parents):
            if parent != ".":
                found.setdefault(parent, folder(parent))
    return sorted(found.values(), key=lambda entry: entry.path.split("/"))


_TYPES = {"folder": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE}


def _member(entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(entry.path)
    member.type = _TYPES[entry.kind]
    member.mode = _mode(entry)
    member.mtime = epoch()
    member.size = entry.size
    member.linkname = entry.target
    return member


def _mode(entry: Entry) -> int:
    if entry.kind == "symlink" or entry.sticky:
        return 0o1777 if entry.sticky else 0o777
    return 0o755 if entry.executable or entry.kind == "folder" else 0o644


def _linked(member: tarfile.TarInfo, target: str) -> tarfile.TarInfo:
    member.type, member.linkname, member.size = tarfile.LNKTYPE, target, 0
    return member
