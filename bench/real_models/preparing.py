"""A real model with labelled data as a project in the user's cache, prepared once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm import paths
from yardarm.digest import of_file, of_json
from yardarm.project import FILE
from zoo import training

Arrays = dict[str, NDArray[np.generic]]
HELD_OUT = "held-out.npz"
SETTINGS = """\
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
"""


@dataclass(frozen=True)
class Prepared:
    """What a project is made of.

    Attributes:
        calibration, evaluation: what the compiler sees; the latter with `label`.
        held_out: like `evaluation`, for the claim; None: claimed on the evaluation set.
        settings: further lines of the project file, [data] first.
    """

    model: ModelProto
    calibration: Arrays
    evaluation: Arrays
    held_out: Arrays | None = None
    settings: str = ""


def project(name: str, source: str, make: Callable[[], Prepared]) -> Path:
    """The project's folder; made again when its recipe or its tools change.

    Args:
        source: the file of the module that makes it, which is its recipe.
    """
    tools = {tool: version(tool) for tool in ("numpy", "torch", "onnx")}
    recipe = [of_file(Path(file)) for file in (source, __file__, training.__file__)]
    key = of_json({"tools": tools, "recipe": recipe})
    target = paths.cache() / "bench" / "models" / key.removeprefix("sha256:")[:16] / name
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as beside:
            fresh = Path(beside) / name
            fresh.mkdir()
            _write(make(), fresh)
            fresh.rename(target)
    return target


def _write(made: Prepared, folder: Path) -> None:
    onnx.save(made.model, folder / "model.onnx")
    np.savez(folder / "calibration.npz", **made.calibration)
    np.savez(folder / "evaluation.npz", **made.evaluation)
    if made.held_out is not None:
        np.savez(folder / HELD_OUT, **made.held_out)
    (folder / FILE).write_text(SETTINGS + made.settings)


def taken(arrays: Mapping[str, NDArray[np.generic]], chosen: NDArray[np.generic]) -> Arrays:
    """The samples at these positions."""
    return {name: array[chosen] for name, array in arrays.items()}


def idx(data: bytes) -> NDArray[np.uint8]:
    """The array of an idx file of bytes, as the MNIST family comes.

    The header has two zeros, the type (8: unsigned bytes), the number of axes, and each
    axis's length as a big-endian 32-bit number.
    """
    assert data[:3] == b"\0\0\x08", "not an idx file of bytes"
    axes = data[3]
    shape = np.frombuffer(data, ">u4", axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
