"""The runtime layer: Yardarm's own code for devices, as source."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from yardarm import digest
from yardarm.digest import Digest
from yardarm.image import entries
from yardarm.image.layer import WRITER, epoch, store_layer
from yardarm.image.wheels import LIBRARY
from yardarm.store import Store

PACKAGES = ("yardarm_runtime", "yardarm_wire")


def sources() -> dict[str, bytes]:
    """The code, by path in the image's library; found without importing it."""
    return {
        f"{package}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for package in PACKAGES
        for folder in [_folder(package)]
        for path in sorted(folder.rglob("*.py"))
    }


def key(code: dict[str, bytes]) -> Digest:
    named = {path: digest.of_bytes(text) for path, text in code.items()}
    return digest.of_json(["image/runtime", WRITER, epoch(), named, _version()])


def make(code: dict[str, bytes], store: Store) -> dict[str, object]:
    """The layer's blob and contents, as a step records them."""
    found = [entries.file(f"{LIBRARY}/{path}", text) for path, text in code.items()]
    contents = dict.fromkeys(PACKAGES, _version())
    return {"blob": store_layer(found, store).to_oci(), "contents": contents}


def _folder(package: str) -> Path:
    found = find_spec(package)
    assert found and found.submodule_search_locations
    return Path(next(iter(found.submodule_search_locations)))


def _version() -> str:
    return metadata.version("yardarm")
