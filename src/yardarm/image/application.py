"""The application layer: the project's own files, below /opt/yardarm/app."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from yardarm import digest
from yardarm.digest import Digest
from yardarm.errors import InvalidInput
from yardarm.image import diet, entries
from yardarm.image.entries import Entry
from yardarm.image.layer import WRITER, epoch, store_layer
from yardarm.store import Store

APPLICATION = "opt/yardarm/app"

_RULES = 1

# Histories, environments and what tools keep: of this machine, or made again from the rest.
_DROPPED = (
    *(".git", ".hg", ".svn", ".yardarm", ".venv", "venv", "node_modules", "__pycache__"),
    *(".*_cache", ".tox", ".nox", ".ipynb_checkpoints", "*.egg-info", ".DS_Store"),
    *("*.pyc", "*.pyo", "*.swp", "*~"),
)
_OUT = re.compile("|".join(map(fnmatch.translate, _DROPPED)))


def read(source: Sequence[Path], keep: Sequence[str] = ()) -> diet.Diet:
    """What of the project's files and folders goes into the layer, called as in the image.

    Raises:
        InvalidInput: a link leads out of what is copied; a pipe, socket or device; a name
            that is no text; a file that can't be read; a module that would hide Python's own.
    """
    found = [entry for path in source for entry in _walk(path)]
    chosen = diet.chosen(found, wanted, owner=_owner, keep=keep)
    there = {entry.path for entry in chosen.entries}
    for path in source:
        _hides(path)
    for entry in chosen.entries:
        _readable(entry, {path.name: path.parent for path in source})
        if entry.kind == "symlink":
            _inside(entry, there)
    return chosen


def wanted(path: str) -> bool:
    """Whether a path of the image's belongs into it."""
    below = PurePosixPath(path).relative_to(APPLICATION).parts
    return not any(_OUT.fullmatch(part) for part in below)


def key(chosen: diet.Diet) -> Digest:
    """Names the layer by the content of what is in it."""
    found = sorted(
        (each.path, each.kind, each.executable, _content(each)) for each in chosen.entries
    )
    return digest.of_json(["image/application", _RULES, WRITER, epoch(), found])


def make(chosen: diet.Diet, store: Store) -> Mapping[str, object]:
    """The layer's blob and contents, as a step records them."""
    blob = store_layer(chosen.entries, store)
    return {"blob": blob.to_oci(), "contents": {}, **chosen.record()}


def _content(entry: Entry) -> str:
    if entry.kind != "file":
        return entry.target
    found = hashlib.sha256()
    with entry.open() as stream:
        while part := stream.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def _owner(path: str) -> str:
    return PurePosixPath(path).relative_to(APPLICATION).parts[0]


def _walk(path: Path) -> Iterator[Entry]:
    """Hard links are told apart: whether two files are one is of this machine alone."""
    name = f"{APPLICATION}/{path.name}"
    yield replace(entries.from_disk(path, name), inode=None)
    if path.is_dir():
        for entry in entries.from_folder(path):
            yield replace(entries.moved(entry, name), inode=None)


def _readable(entry: Entry, parents: Mapping[str, Path]) -> None:
    name = entry.path.removeprefix(f"{APPLICATION}/")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _wrong(
            "a name that is not UTF-8", os.fsencode(name).decode(errors="replace")
        ) from None
    path = parents[name.partition("/")[0]] / name
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise _wrong("neither file, folder nor link", path)
    if not (stat.S_ISLNK(mode) or os.access(path, os.R_OK)):
        raise _wrong("it can't be read", path)


def _inside(link: Entry, there: set[str]) -> None:
    """A link has to lead to something that is copied, from wherever the image lies."""
    leads = os.path.normpath(f"{PurePosixPath(link.path).parent}/{link.target}")
    if link.target.startswith("/") or leads not in there:
        raise InvalidInput(
            f"a link that leads out of what is copied: {link.target}",
            where=link.path.removeprefix(f"{APPLICATION}/"),
            hint="name what it leads to under [image] source too, or make it a file",
        )


def _hides(path: Path) -> None:
    """PYTHONPATH comes before Python's own modules."""
    module = path.suffix == ".py" or (path / "__init__.py").exists()
    if module and path.stem in sys.stdlib_module_names:
        raise _wrong(f"it would hide Python's own module {path.stem}", path)


def _wrong(what: str, where: object) -> InvalidInput:
    return InvalidInput(what, where=str(where), hint="[image] source names what is copied")
