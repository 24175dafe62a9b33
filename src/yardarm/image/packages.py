"""The system layer: Debian packages on top of a base, unpacked and never run."""

from __future__ import annotations

import fnmatch
import io
import re
import tarfile
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from yardarm import debian, digest, process
from yardarm.digest import Digest
from yardarm.events import Sink, silent
from yardarm.image import account, apt, diet, entries, scripts
from yardarm.image.apt import Package
from yardarm.image.entries import Entry
from yardarm.image.layer import WRITER, epoch, store_layer
from yardarm.image.tree import Tree
from yardarm.store import Store

_RULES = 1

# Documents; what licences oblige a distributor to pass on stays.
_DROPPED = (
    *("usr/share/doc/*/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*"),
    *("usr/share/lintian/*", "usr/share/bug/*", "usr/share/doc-base/*", "usr/share/gtk-doc/*"),
    *("usr/share/bash-completion/*", "usr/share/zsh/*", "usr/share/fish/*", "usr/share/menu/*"),
    *("*/__pycache__/*", "*.pyc"),
)
_KEPT = ("usr/share/doc/*/copyright",)
_OUT = re.compile("|".join(map(fnmatch.translate, _DROPPED)))
_IN = re.compile("|".join(map(fnmatch.translate, _KEPT)))

_TOOLS = (
    *("debconf", "dpkg", "debianutils", "adduser", "init-system-helpers", "install-info", "ucf"),
)
"""What packages depend on for their maintainer scripts alone."""

_LATEST = "99999:0"


def key(
    names: Sequence[str], suite: str, on: Tree, keep: Sequence[str], *, foreign: bool
) -> Digest:
    rules = [_RULES, _DROPPED, _KEPT, _TOOLS, account.NUMBER]
    asked = [sorted(names), suite, asdict(on), list(keep), foreign]
    return digest.of_json(["image/system", WRITER, epoch(), asked, rules])


def wanted(path: str) -> bool:
    """Whether a path of the packages goes into the image."""
    return bool(_IN.fullmatch(path)) or not _OUT.fullmatch(path)


def make(
    names: Sequence[str],
    suite: str,
    on: Tree,
    store: Store,
    *,
    foreign: bool,
    keep: Sequence[str] = (),
    sink: Sink = silent,
) -> dict[str, object]:
    """The layer as a step records it; `warnings` name packages whose scripts would matter.

    Args:
        names: Debian packages; (): only the user that the image runs as.
        suite: a Debian codename.
        on: the base.
        foreign: the base doesn't know the user that the image runs as.

    Raises: as `apt.fetch` does.
    """
    tools = {name: _LATEST for name in _TOOLS if name not in names}
    installed = {**tools, **on.installed}
    found = apt.fetch(names, installed, suite=suite, sink=sink) if names else ()
    with TemporaryDirectory(prefix="yardarm-packages-") as folder, ExitStack() as opened:
        owner: dict[str, str] = {}
        inside: list[Entry] = []
        for package in found:
            for entry in _unpacked(package, Path(folder), on.links, opened):
                owner[entry.path] = package.name
                inside.append(entry)
        chosen = diet.chosen(inside, wanted, owner=owner.__getitem__, keep=keep)
        own = list(_own(on, found, foreign))
        blob = store_layer([*_filled(chosen.entries), *own], store)
    contents = {package.name: package.version for package in found}
    warnings = list(_warnings(found))
    return {"blob": blob.to_oci(), "contents": contents, "warnings": warnings, **chosen.record()}


def _own(on: Tree, found: Sequence[Package], foreign: bool) -> Iterator[Entry]:
    """What the base's files become: the list of packages, users and groups."""
    if found:
        yield entries.file("var/lib/dpkg/status", _status(on.status, found))
    if foreign:
        lists = (on.texts.get(f"etc/{name}", "").encode() for name in ("passwd", "group"))
        yield from account.added(*lists)


def _unpacked(
    package: Package, folder: Path, links: Mapping[str, str], opened: ExitStack
) -> Iterator[Entry]:
    """A package's files, called as they lie on the base, and the links of alternatives."""
    file = folder / f"{package.name}.tar"
    file.write_bytes(process.run(["dpkg-deb", "--fsys-tarfile", str(package.file)]).stdout)
    archive = opened.enter_context(tarfile.open(file))  # noqa: SIM115
    for entry in entries.from_tar(archive):
        if not (entry.kind == "folder" and entry.path in links):
            yield _placed(replace(entry, inode=_inode(entry, package)), links)
    for link in scripts.alternatives(_script(package, "postinst")):
        yield _placed(link, links)


def _inode(entry: Entry, package: Package) -> Hashable | None:
    """Hard links lead within one package."""
    return None if entry.inode is None else (package.name, entry.inode)


def _placed(entry: Entry, links: Mapping[str, str]) -> Entry:
    """An entry called by where its folder really lies: written through a link, it would replace
    that by a folder."""
    parts = PurePosixPath(entry.path).parts
    for depth in range(len(parts) - 1, 0, -1):
        leads = links.get("/".join(parts[:depth]))
        if leads is not None:
            moved = replace(entry, path="/".join([leads, *parts[depth:]]))
            return _placed(moved, links)
    return entry


def _filled(chosen: Sequence[Entry]) -> list[Entry]:
    """The layer's writer adds the folders that have something in them."""
    return [entry for entry in chosen if entry.kind != "folder"]


def _status(before: bytes, found: Sequence[Package]) -> bytes:
    blocks = [before.decode(errors="replace").strip()] if before.strip() else []
    for package in found:
        fields = process.run(["dpkg-deb", "-f", str(package.file)]).text
        (listed,) = debian.paragraphs(fields)
        named = ("Package", "Version", "Architecture", "Source", "Pre-Depends", "Depends")
        lines = [f"{name}: {listed[name]}" for name in named if name in listed]
        blocks.append("\n".join([lines[0], "Status: install ok unpacked", *lines[1:]]))
    return ("\n\n".join(blocks) + "\n").encode()


def _warnings(found: Sequence[Package]) -> Iterator[str]:
    for package in found:
        for name in ("preinst", "postinst"):
            lines = scripts.effects(_script(package, name))
            if lines:
                yield f"{package.name}: its {name} is not run, which would: {lines[0]}"


def _script(package: Package, name: str) -> str:
    done = process.run(["dpkg-deb", "--ctrl-tarfile", str(package.file)])
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as control:
        members = {member.name.removeprefix("./"): member for member in control}
        found = control.extractfile(members[name]) if name in members else None
        return found.read().decode(errors="replace") if found else ""
