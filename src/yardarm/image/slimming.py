"""What of installed wheels goes into an image, what stays out, and what each package weighs."""

from __future__ import annotations

import csv
import email.parser
import fnmatch
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yardarm.image import entries
from yardarm.image.entries import Entry

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

RULES: Sequence[object] = (2, _DROPPED, _KEPT, _C_LIBRARY)
"""What the choice goes by; raise the number when it changes and the lists don't show it."""


@dataclass(frozen=True)
class Chosen:
    """What goes into an image, and what it is.

    Attributes:
        files: with paths below the library.
        contents: package to version.
        weights: package to bytes in the image.
        left_out: package and what of it stayed out, such as "numpy: tests", to bytes.
    """

    files: tuple[Entry, ...]
    contents: Mapping[str, str]
    weights: Mapping[str, int]
    left_out: Mapping[str, int]


def choose(library: Path, place: str, keep: Sequence[str]) -> Chosen:
    """Choose among what was installed into `library`.

    Args:
        place: where the library will lie in the image.
        keep: globs of paths in the image that go in whatever they are.
    """
    spare = _spare(library)
    owner = dict(_owners(library))
    files, weights, left_out = [], Counter[str](), Counter[str]()
    for entry in entries.from_folder(library):
        if entry.kind == "folder":
            continue  # those with something in them come back as parents
        package = owner.get(entry.path, "")
        kind = _left_out(entry.path, spare)
        if kind and not any(fnmatch.fnmatchcase(f"{place}/{entry.path}", each) for each in keep):
            left_out[f"{package}: {kind}".removeprefix(": ")] += entry.size
        else:
            files.append(entry)
            weights[package] += entry.size
    del weights[""]
    return Chosen(tuple(files), _contents(library), dict(weights), dict(+left_out))


def _left_out(path: str, spare: tuple[str, ...]) -> str:
    """What a path is that stays out; "": it goes in."""
    if _IN.fullmatch(path):
        return ""
    if path.startswith(spare):
        return "C library"
    return next((kind for kind, globs in _OUT.items() if globs.fullmatch(path)), "")


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


def _owners(library: Path) -> Iterator[tuple[str, str]]:
    """Path below the library to the package whose record has it."""
    for record in library.glob("*.dist-info/RECORD"):
        name, _ = _identity(record.parent)
        with record.open(encoding="utf-8", newline="") as stream:
            yield from ((row[0], name) for row in csv.reader(stream) if row)
