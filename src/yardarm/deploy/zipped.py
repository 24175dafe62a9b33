"""Packages of ours as one zip, for devices."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

EPOCH = (1980, 1, 1, 0, 0, 0)


def zipped(packages: Iterable[str], files: Mapping[str, bytes]) -> bytes:
    """A zip of files, and the sources of packages, with fixed order and times."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            _add(target, name, data)
        for package in packages:
            for name, data in _sources(resources.files(package), package):
                _add(target, name, data)
    return buffer.getvalue()


def _add(target: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    target.writestr(info, data)


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        name = f"{prefix}/{entry.name}"
        if entry.is_dir():
            found += _sources(entry, name)
        elif entry.name.endswith(".py"):
            found.append((name, entry.read_bytes()))
    return found
