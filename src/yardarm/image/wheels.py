"""The wheels layer: aarch64 wheels that uv resolves and unpacks; nothing is built or run."""

from __future__ import annotations

import email.parser
import errno
import fnmatch
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uv

from yardarm import digest, paths, process
from yardarm.artifacts import MEDIA_LAYER
from yardarm.digest import Digest
from yardarm.errors import Unsupported, YardarmError
from yardarm.events import Sink, step
from yardarm.image import entries, layer
from yardarm.image.entries import Entry
from yardarm.image.requirements import Request, name
from yardarm.image.room import no_room
from yardarm.store import Store, exclusive
from yardarm_wire.files import FILES

LIBRARY = "opt/yardarm/lib"

_RULES = 1
"""Raise it when another choice of files is made that the lists below don't show."""

_DROPPED = (
    *("bin/*", ".lock", "*.pyc", "*__pycache__*"),
    # These tell how and when it was installed, or list files that are no longer there.
    *(f"*.dist-info/{name}" for name in ("INSTALLER", "REQUESTED", "RECORD")),
    *("*.dist-info/direct_url.json", "*.dist-info/uv_*.json"),
    *("*/tests/*", "tests/*"),
    # Model conversion, which needs the onnx package.
    *(f"onnxruntime/{name}*" for name in ("datasets", "quantization", "tools", "transformers")),
)
# Some packages import their own tests' helpers.
_KEPT = ("*/tests/_*.py", "tests/_*.py")

_OUT = re.compile("|".join(map(fnmatch.translate, _DROPPED)))
_IN = re.compile("|".join(map(fnmatch.translate, _KEPT)))


def key(wanted: Request) -> Digest:
    """Names the layer, in the store and in the user's cache, by what is asked for."""
    rules = [_RULES, _DROPPED, _KEPT, layer.WRITER, layer.epoch()]
    return digest.of_json(["image/wheels", asdict(wanted), rules])


def keep(path: str) -> bool:
    """Whether a path of the installed wheels goes into the image."""
    return bool(_IN.fullmatch(path)) or not _OUT.fullmatch(path)


def make(wanted: Request, store: Store, sink: Sink) -> dict[str, object]:
    """The layer's blob and contents, as a step records them; from the user's cache, or made.

    Raises:
        Unsupported: a requirement does not exist, has no wheel for the platform, or the
            index can't be reached; the hint is uv's reason.
    """
    folder = paths.cache() / "wheels" / digest.short(key(wanted))
    with step(sink, "image/resolve", "aarch64 wheels") as progress:
        with exclusive(folder.with_suffix(".lock"), "installing wheels", wait=600.0):
            progress.cached = (folder / "contents.json").is_file()
            if not progress.cached:
                _fill(folder, wanted)
        contents: dict[str, str] = json.loads((folder / "contents.json").read_bytes())
        progress.detail = f"{len(contents)} packages"
    blob = store.put_file(folder / "layer.tar", MEDIA_LAYER)
    return {"blob": blob.to_oci(), "contents": contents}


def _fill(folder: Path, wanted: Request) -> None:
    """Install into a folder beside the cache's, pack it, and rename what is whole."""
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as text:
        work = Path(text)
        (work / "done").mkdir()
        _install(wanted, work)
        with (work / "done/layer.tar").open("wb") as stream:
            layer.write(_entries(work / "lib"), stream)
        contents = digest.canonical_json(_contents(work / "lib"))
        (work / "done/contents.json").write_bytes(contents)
        shutil.rmtree(folder, ignore_errors=True)
        FILES.rename_tree(str(work / "done"), str(folder))


def command(wanted: Request, target: Path, constraints: Path) -> list[str]:
    """uv's arguments: wheels only, for the device's platform and Python."""
    return [
        *(uv.find_uv_bin(), "pip", "install", "--target", str(target)),
        *("--python", sys.executable, "--python-version", wanted.python),
        *("--python-platform", wanted.platform, "--only-binary", ":all:"),
        *("--no-compile-bytecode", "--quiet", "--constraint", str(constraints)),
        *("--color", "never", "--", *wanted.requirements),
    ]


def _install(wanted: Request, work: Path) -> None:
    constraints = work / "constraints.txt"
    constraints.write_text("".join(f"{line}\n" for line in wanted.constraints), encoding="utf-8")
    argv = command(wanted, work / "lib", constraints)
    # In the folder of its own, so that no pyproject.toml nearby has a say.
    done = process.run(argv, cwd=work, check=False, timeout=1800)
    if done.code != 0:
        raise _failure(wanted, done.stderr.decode(errors="replace"))


def _failure(wanted: Request, reason: str) -> YardarmError:
    if os.strerror(errno.ENOSPC) in reason:
        return no_room(paths.cache())
    named = [text for text in wanted.requirements if name(text) in reason.lower()]
    asked = ", ".join(named or wanted.requirements)
    where = f"{wanted.platform}, Python {wanted.python}"
    return Unsupported(f"no way onto the device for {asked}", where=where, hint=_tidy(reason))


def _tidy(reason: str) -> str:
    """uv's words without the drawing around them."""
    lines = (
        re.sub(r"^\W*((error|cause): )?", "", line)
        for line in reason.splitlines()
        if "constraints.txt" not in line
    )
    return "\n".join([line for line in lines if line][-8:])


def _entries(library: Path) -> Iterator[Entry]:
    spare = _spare(library)
    for entry in entries.from_folder(library):
        if entry.kind == "folder":
            continue  # those with something in them come back as parents
        if keep(entry.path) and not entry.path.startswith(spare):
            yield entries.moved(entry, LIBRARY)


def _spare(library: Path) -> tuple[str, ...]:
    """onnxruntime's C library, 27 MB, unless its Python module loads it: so far the module has
    everything linked in."""
    name = "libonnxruntime.so"
    modules = library.glob("onnxruntime/capi/*.so")
    loaded = any(name.encode() in module.read_bytes() for module in modules)
    return () if loaded else (f"onnxruntime/capi/{name}",)


def _contents(library: Path) -> dict[str, str]:
    parser = email.parser.BytesHeaderParser()
    found: dict[str, str] = {}
    for metadata in library.glob("*.dist-info/METADATA"):
        headers: Any = parser.parsebytes(metadata.read_bytes())
        found[str(headers["Name"])] = str(headers["Version"])
    return found
