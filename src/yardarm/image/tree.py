"""What lies in a base: its layers are read once, checked, and what images need to know of them
is remembered as a step of the store."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from yardarm import digest
from yardarm.artifacts import Descriptor
from yardarm.debian import paragraphs
from yardarm.digest import Digest
from yardarm.image.members import members
from yardarm.store import Store

_RULES = 1

_STATUS = "var/lib/dpkg/status"
_TEXTS = ("etc/passwd", "etc/group", "etc/os-release", "usr/lib/os-release", _STATUS)
_PYTHONS = ("usr/local/bin/python3", "usr/bin/python3", "bin/python3")
_MUSL = re.compile(r"(usr/)?lib/ld-musl-[^/]+")
_TENSORRT = re.compile(r".*/(dist|site)-packages/tensorrt/__init__\.py")
_FOLLOWED = 40


@dataclass(frozen=True)
class Tree:
    """A base's files, as far as images need to know them.

    Attributes:
        texts: path to content, of users, groups, the system's name, the list of packages.
        links: folders that are links, to where they lead; both without a leading slash.
        python: path of python3, "" without one; `version` such as "3.11".
        musl: its C library is musl.
        tensorrt: Python finds a module of that name.
    """

    texts: Mapping[str, str]
    links: Mapping[str, str]
    python: str = ""
    version: str = ""
    musl: bool = False
    tensorrt: bool = False

    @property
    def status(self) -> bytes:
        return self.texts.get(_STATUS, "").encode()

    @property
    def installed(self) -> Mapping[str, str]:
        """Debian packages, name to version."""
        listed = paragraphs(self.texts.get(_STATUS, ""))
        there = (
            each for each in listed if each.get("Status", "").endswith((" installed", "unpacked"))
        )
        return {
            each["Package"]: each["Version"] for each in there if {"Package", "Version"} <= {*each}
        }

    @property
    def release(self) -> Mapping[str, str]:
        """What os-release says, such as ID and VERSION_CODENAME."""
        text = self.texts.get("etc/os-release") or self.texts.get("usr/lib/os-release", "")
        pairs = (line.partition("=") for line in text.splitlines())
        return {name: value.strip("\"'") for name, _, value in pairs if value}

    @property
    def glibc(self) -> str:
        """Version of its C library such as "2.36", "" where no package tells it."""
        found = re.match(r"(\d+\.\d+)", self.installed.get("libc6", ""))
        return found[1] if found else ""


@dataclass
class _Files:
    """The files so far, while layers are laid over each other."""

    kinds: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def remove(self, path: str, *, itself: bool) -> None:
        below = f"{path}/" if path else ""
        for known in [each for each in self.kinds if each.startswith(below)]:
            self.kinds.pop(known)
            self.texts.pop(known, None)
        if itself:
            self.kinds.pop(path, None)
            self.texts.pop(path, None)


def read(
    layers: Sequence[Descriptor], store: Store, *, name: str, diff_ids: Sequence[str] = ()
) -> Tree:
    """The tree of a base, from the store's steps or its layers, lowest first.

    Args:
        name: of the base, for errors.
        diff_ids: digests of the layers' tars, to be checked; (): the blobs are the tars.

    Raises:
        InvalidInput: a member that would leave the root, is a device, or is far too large.
        VerificationFailed: a layer is damaged, or not what the config says.
        Unsupported: a compression that devices can't unpack.
    """
    key = digest.of_json(["image/tree", _RULES, [each.digest for each in layers], list(diff_ids)])
    found: Any = store.step(key)
    if found is None:
        found = asdict(_read(layers, store, name, diff_ids))
        store.record_step(key, found)
    return Tree(**found)


def _read(layers: Iterable[Descriptor], store: Store, name: str, diff_ids: Sequence[str]) -> Tree:
    files = _Files()
    for number, layer in enumerate(layers):
        expected = Digest(diff_ids[number]) if diff_ids else layer.digest
        _lay(files, layer, store, name, expected)
    return _told(files)


def _lay(files: _Files, layer: Descriptor, store: Store, name: str, expected: Digest) -> None:
    for member, stream in members(store.path(layer.digest), layer.media_type, expected, name):
        path = posixpath.normpath(member.name).strip("/")
        folder, last = posixpath.split(path)
        if last == ".wh..wh..opq":
            files.remove(folder, itself=False)
        elif last.startswith(".wh."):
            files.remove(posixpath.join(folder, last[4:]), itself=True)
        elif path != ".":
            _place(files, path, member, stream)


def _place(files: _Files, path: str, member: Any, stream: Any) -> None:
    kind = f">{member.linkname}" if member.issym() else "/" if member.isdir() else "-"
    if files.kinds.get(path) == "/" and kind != "/":
        files.remove(path, itself=True)
    files.kinds[path] = kind
    if path in _TEXTS and stream is not None:
        files.texts[path] = stream.read().decode(errors="replace")


def _told(files: _Files) -> Tree:
    python = next((each for each in _PYTHONS if resolved(each, files.kinds)), "")
    program = resolved(python, files.kinds) if python else ""
    version = re.search(r"python(3\.\d+)$", program)
    links = {path: _leads(path, kind[1:]) for path, kind in files.kinds.items() if kind[0] == ">"}
    return Tree(
        texts=files.texts,
        links={
            path: leads
            for path, leads in links.items()
            if files.kinds.get(resolved(path, files.kinds)) == "/"
        },
        python=f"/{python}" if python else "",
        version=version[1] if version else "",
        musl=any(map(_MUSL.fullmatch, files.kinds)),
        tensorrt=any(map(_TENSORRT.fullmatch, files.kinds)),
    )


def resolved(path: str, kinds: Mapping[str, str]) -> str:
    """Where a path leads when all links are followed, below the root; "" if nowhere."""
    done: list[str] = []
    todo = path.split("/")[::-1]
    followed = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = done[:-1]
            continue
        kind = kinds.get("/".join([*done, part]), "")
        if not kind.startswith(">"):
            done.append(part)
            continue
        followed += 1
        if followed > _FOLLOWED:
            return ""
        done = [] if kind.startswith(">/") else done
        todo.extend(kind[1:].split("/")[::-1])
    found = "/".join(done)
    return found if found in kinds else ""


def _leads(path: str, target: str) -> str:
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target)).strip("/")
