"""What packages an image holds, by the files in its layers: whoever made them, base or we.

Debian packages are in dpkg's status, Python packages have METADATA. Each layer is read once,
and what was found is a step of the store.
"""

from __future__ import annotations

import email.parser
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.artifacts import Descriptor
from yardarm.debian import paragraphs
from yardarm.digest import of_json
from yardarm.image import licences
from yardarm.image.licences import Licences
from yardarm.store import Store

_RULES = 1
"""Raise it when the same layer is to be read in another way."""

_STATUS = re.compile(r"var/lib/dpkg/(status|status\.d/[^/]+)")
_COPYRIGHT = re.compile(r"usr/share/doc/([^/]+)/copyright")
_DOCUMENTS = re.compile(r"usr/share/doc/([^/]+)")
_METADATA = re.compile(r"(.*/)?[^/]+\.(dist-info/METADATA|egg-info/PKG-INFO)")
_RELEASE = "usr/lib/os-release"
_LARGEST = 8_000_000
"""Bytes; a file that is larger is none of these."""


@dataclass(frozen=True)
class Package:
    """A package in an image; `requires` are names as its maker wrote them, whether there or not."""

    name: str
    version: str
    licences: Licences
    requires: tuple[str, ...] = ()
    architecture: str = ""


@dataclass(frozen=True)
class Inventory:
    """What an image holds.

    Attributes:
        distribution: ID and VERSION_ID of its os-release, such as ("debian", "12").
        whole: every layer could be read, and there was a list of packages.
    """

    debian: tuple[Package, ...]
    python: tuple[Package, ...]
    distribution: tuple[str, str]
    whole: bool


def inventory(layers: Iterable[Descriptor], store: Store) -> Inventory:
    """What is in an image of these layers, lowest first."""
    files: dict[str, Any] = {}
    readable = True
    for layer in layers:
        found = _layer(layer, store)
        readable &= found["readable"]
        for gone in found["gone"]:
            files = {path: of for path, of in files.items() if not _below(path, gone)}
        files |= found["files"]
    debian = _debian(files)
    release = files.get(_RELEASE, {})
    return Inventory(
        debian=debian,
        python=_python(files),
        distribution=(release.get("ID", ""), release.get("VERSION_ID", "")),
        whole=readable and bool(debian),
    )


def _layer(layer: Descriptor, store: Store) -> Any:
    """A layer's own share, as a step records it: `files` by path, `gone` paths, `readable`."""
    key = of_json(["image/inventory", _RULES, layer.digest])
    found = store.step(key)
    if found is None:
        found = _read(layer, store)
        store.record_step(key, found)
    return found


def _read(layer: Descriptor, store: Store) -> dict[str, Any]:
    files: dict[str, Any] = {}
    gone: list[str] = []
    try:
        with tarfile.open(store.path(layer.digest)) as archive:
            for member in archive:
                path = member.name.removeprefix("./").strip("/")
                folder, _, name = path.rpartition("/")
                if name == ".wh..wh..opq":
                    gone.append(f"{folder}/")
                elif name.startswith(".wh."):
                    gone.append(f"{folder}/{name[4:]}".lstrip("/"))
                elif found := _told(archive, member, path):
                    files[path] = found
    except (tarfile.TarError, OSError, EOFError, zlib.error):
        return {"files": files, "gone": gone, "readable": False}
    return {"files": files, "gone": gone, "readable": True}


def _told(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Any:
    """What one file says, for JSON; None where it says nothing about packages."""
    if member.issym() and _DOCUMENTS.fullmatch(path):
        return {"link": member.linkname}
    readers = ((_STATUS, _status), (_COPYRIGHT, _copyright), (_METADATA, _metadata))
    wanted = [read for pattern, read in readers if pattern.fullmatch(path)]
    wanted += [_release] if path == _RELEASE else []
    if not wanted or not (member.isfile() or member.islnk()) or member.size > _LARGEST:
        return None
    stream = archive.extractfile(member)
    return wanted[0](stream.read().decode(errors="replace")) if stream else None


def _status(text: str) -> list[dict[str, str]]:
    fields = ("Package", "Version", "Architecture", "Depends", "Pre-Depends")
    return [
        {name: entry[name] for name in fields if name in entry}
        for entry in paragraphs(text)
        if {"Package", "Version"} <= entry.keys() and "deinstall" not in entry.get("Status", "")
    ]


def _copyright(text: str) -> dict[str, Any]:
    found = licences.of_copyright(text)
    return {"names": found.names, "declared": found.declared}


def _metadata(text: str) -> dict[str, Any] | None:
    headers = email.parser.HeaderParser().parsestr(text)
    if not headers["Name"] or not headers["Version"]:
        return None
    requires = (str(each) for each in headers.get_all("Requires-Dist", []))
    return {
        "name": str(headers["Name"]),
        "version": str(headers["Version"]),
        "names": licences.of_metadata(headers).names,
        "requires": [each for each in requires if not re.search(r";.*\bextra\b", each)],
    }


def _release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value.strip("\"'") for name, _, value in pairs if name in ("ID", "VERSION_ID")}


def _below(path: str, gone: str) -> bool:
    return path == gone or path.startswith(gone.rstrip("/") + "/")


def _debian(files: Mapping[str, Any]) -> tuple[Package, ...]:
    listed = (entry for path, of in files.items() if _STATUS.fullmatch(path) for entry in of)
    named = {entry["Package"]: entry for entry in listed}
    return tuple(
        Package(
            name,
            entry["Version"],
            _licences(name, files),
            _alternatives(f"{entry.get('Pre-Depends', '')},{entry.get('Depends', '')}"),
            entry.get("Architecture", ""),
        )
        for name, entry in sorted(named.items())
    )


def _alternatives(depends: str) -> tuple[str, ...]:
    names = re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", depends)
    return tuple(dict.fromkeys(names))


def _licences(name: str, files: Mapping[str, Any]) -> Licences:
    """Of a Debian package; its documents may be those of another one."""
    link = files.get(f"usr/share/doc/{name}", {}).get("link", "")
    owner = link.rpartition("/")[2] or name
    found = files.get(f"usr/share/doc/{owner}/copyright")
    return Licences(tuple(found["names"]), found["declared"]) if found else Licences()


def _python(files: Mapping[str, Any]) -> tuple[Package, ...]:
    found = [of for path, of in files.items() if _METADATA.fullmatch(path)]
    packages = (
        Package(of["name"], of["version"], Licences(tuple(of["names"])), tuple(of["requires"]))
        for of in found
    )
    return tuple(sorted(set(packages), key=lambda each: (each.name.lower(), each.version)))
