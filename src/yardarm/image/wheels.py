"""The wheels layer: exactly the pinned aarch64 wheels, unpacked by uv; nothing is built or run."""

from __future__ import annotations

import csv
import email.parser
import fnmatch
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import uv

from yardarm import digest, paths
from yardarm.artifacts import MEDIA_LAYER
from yardarm.digest import Digest
from yardarm.errors import Unreachable, Unsupported
from yardarm.events import Sink, silent, step
from yardarm.image import entries, layer, resolving
from yardarm.image.entries import Entry
from yardarm.image.requirements import Request
from yardarm.lockfile import Pinned
from yardarm.store import Store, exclusive
from yardarm_wire.files import FILES

LIBRARY = "opt/yardarm/lib"

_RULES = 2
"""Raise it when another choice of files is made that the lists below don't show."""

_DROPPED: Mapping[str, tuple[str, ...]] = {
    "programs": ("bin/*",),
    "compiled Python": ("*.pyc", "*__pycache__*"),
    # They tell how and when it was installed, or list files that are no longer there.
    "records of the installer": (
        ".lock",
        *(f"*.dist-info/{name}" for name in ("INSTALLER", "REQUESTED", "RECORD")),
        *("*.dist-info/direct_url.json", "*.dist-info/uv_*.json"),
    ),
    "tests": ("*/tests/*", "tests/*"),
    # It needs the onnx package.
    "model conversion": tuple(
        f"onnxruntime/{name}*" for name in ("datasets", "quantization", "tools", "transformers")
    ),
}
"""What stays out, by what it is."""

# Some packages import their own tests' helpers.
_KEPT = ("*/tests/_*.py", "tests/_*.py")

_C_LIBRARY = "onnxruntime/capi/libonnxruntime.so"


def _either(globs: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, globs)) or r"(?!)")


_OUT = {kind: _either(globs) for kind, globs in _DROPPED.items()}
_IN = _either(_KEPT)


def key(wanted: Request, pinned: Sequence[Pinned], keep: Sequence[str] = ()) -> Digest:
    """Names the layer, in the store and in the user's cache, by what goes into it."""
    rules = [_RULES, _DROPPED, _KEPT, _C_LIBRARY, layer.WRITER, layer.epoch(), sorted(keep)]
    wheels = [astuple(each) for each in sorted(pinned)]
    return digest.of_json(["image/wheels", wanted.target, wheels, rules])


def left_out(path: str, keep: Sequence[str] = ()) -> str:
    """What a path of the installed wheels is that stays out of the image; "": it goes in.

    Args:
        path: below the image's library.
        keep: globs of paths in the image that go in nevertheless.
    """
    if _IN.fullmatch(path) or any(fnmatch.fnmatchcase(f"{LIBRARY}/{path}", each) for each in keep):
        return ""
    return next((kind for kind, globs in _OUT.items() if globs.fullmatch(path)), "")


def make(
    wanted: Request,
    pinned: Sequence[Pinned],
    store: Store,
    sink: Sink = silent,
    keep: Sequence[str] = (),
) -> dict[str, object]:
    """The layer as a step records it: `blob`, `contents` (package to version), `weights`
    (package to bytes) and `left_out` (such as "numpy: tests", to bytes); from the user's cache,
    or made.

    Raises:
        VerificationFailed: the index has another file under a pinned name.
        Unsupported: the index has a pinned wheel no longer.
        Unreachable: a pinned wheel isn't in uv's cache, and the index can't be reached.
    """
    folder = _cached(wanted, pinned, sink, keep)
    record: dict[str, object] = json.loads((folder / "record.json").read_bytes())
    blob = store.put_file(folder / "layer.tar", MEDIA_LAYER)
    return {"blob": blob.to_oci(), **record}


def fetch(
    wanted: Request, pinned: Sequence[Pinned], sink: Sink = silent, keep: Sequence[str] = ()
) -> None:
    """Have the layer in the user's cache, so that images can be made without a network.
    Raises as `make` does."""
    _cached(wanted, pinned, sink, keep)


def _cached(wanted: Request, pinned: Sequence[Pinned], sink: Sink, keep: Sequence[str]) -> Path:
    folder = paths.cache() / "wheels" / digest.short(key(wanted, pinned, keep))
    with (
        step(sink, "image/fetch", "fetch aarch64 wheels") as progress,
        exclusive(folder.with_suffix(".lock"), "installing wheels", wait=600.0),
    ):
        progress.cached = (folder / "record.json").is_file()
        if not progress.cached:
            _fill(folder, wanted, pinned, keep)
        progress.detail = f"{sum(each.size for each in pinned) / 1e6:.1f} MB"
    return folder


def _fill(folder: Path, wanted: Request, pinned: Sequence[Pinned], keep: Sequence[str]) -> None:
    """Install into a folder beside the cache's, pack it, and rename what is whole."""
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as text:
        work = Path(text)
        (work / "done").mkdir()
        _install(wanted, pinned, work)
        chosen, out = _sorted(work / "lib", keep)
        with (work / "done/layer.tar").open("wb") as stream:
            layer.write((entries.moved(each, LIBRARY) for each in chosen), stream)
        record = {"contents": _contents(work / "lib"), **_weighed(work / "lib", chosen, out)}
        (work / "done/record.json").write_bytes(digest.canonical_json(record))
        shutil.rmtree(folder, ignore_errors=True)
        FILES.rename_tree(str(work / "done"), str(folder))


def command(wanted: Request) -> list[str]:
    """uv's arguments to unpack what `requirements.txt` pins into `lib`."""
    return [
        *(uv.find_uv_bin(), "pip", "install", "--target", "lib", *resolving.target(wanted)),
        *("--no-deps", "--require-hashes", "--no-compile-bytecode", "--quiet"),
        *("--requirements", "requirements.txt"),
    ]


def _install(wanted: Request, pinned: Sequence[Pinned], work: Path) -> None:
    """From uv's cache where that has everything: hashes make it the same wheels."""
    lines = (f"{each.name}=={each.version} --hash=sha256:{each.sha256}\n" for each in pinned)
    (work / "requirements.txt").write_text("".join(lines), encoding="utf-8")
    try:
        resolving.run([*command(wanted), "--offline"], work, wanted)
    except (Unreachable, Unsupported):
        shutil.rmtree(work / "lib", ignore_errors=True)
        resolving.run(command(wanted), work, wanted)


def _sorted(library: Path, keep: Sequence[str]) -> tuple[list[Entry], list[tuple[str, Entry]]]:
    """What goes into the image; and what stays out, with what it is."""
    chosen, out = [], []
    spare = _spare(library)
    for entry in entries.from_folder(library):
        if entry.kind == "folder":
            continue  # those with something in them come back as parents
        kind = left_out(entry.path, keep)
        if not kind and entry.path.startswith(spare):
            kind = "C library"
        if kind:
            out.append((kind, entry))
        else:
            chosen.append(entry)
    return chosen, out


def _spare(library: Path) -> tuple[str, ...]:
    """onnxruntime's C library, 27 MB, unless its Python module loads it: so far the module has
    everything linked in."""
    name = Path(_C_LIBRARY).name.encode()
    modules = library.glob("onnxruntime/capi/*.so")
    loaded = any(name in module.read_bytes() for module in modules)
    return () if loaded else (_C_LIBRARY,)


def _contents(library: Path) -> dict[str, str]:
    return dict(map(_identity, library.glob("*.dist-info")))


def _identity(info: Path) -> tuple[str, str]:
    """A package's own spelling of its name, and its version."""
    headers: Any = email.parser.BytesHeaderParser().parsebytes((info / "METADATA").read_bytes())
    return str(headers["Name"]), str(headers["Version"])


def _weighed(
    library: Path, chosen: Sequence[Entry], out: Sequence[tuple[str, Entry]]
) -> dict[str, dict[str, int]]:
    """Bytes of each package in the image, and of what stayed out."""
    owner = dict(_owners(library))
    weights: Counter[str] = Counter()
    spared: Counter[str] = Counter()
    for entry in chosen:
        weights[owner.get(entry.path, "")] += entry.size
    for kind, entry in out:
        spared[f"{owner.get(entry.path, '')}: {kind}".removeprefix(": ")] += entry.size
    del weights[""]
    return {"weights": dict(weights), "left_out": dict(+spared)}


def _owners(library: Path) -> Iterator[tuple[str, str]]:
    """Path below the library to the package whose record has it."""
    for record in library.glob("*.dist-info/RECORD"):
        name, _ = _identity(record.parent)
        with record.open(encoding="utf-8", newline="") as stream:
            yield from ((row[0], name) for row in csv.reader(stream) if row)
