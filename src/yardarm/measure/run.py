"""The files that a run brought back from the device, checked."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yardarm.datasets import stacked
from yardarm.errors import InvalidInput
from yardarm_wire.arrays import SHAPES

SCHEMA = "yardarm.run/1"
KEYS = ("plan", "cold", "floor_ns", "versions", "cpu", "environment")
DAMAGED = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError)


@dataclass(frozen=True)
class Run:
    """One run of a plan.

    Attributes:
        report: the runtime's own result.json (`yardarm.run/1`).
        samples: int64 [n, 2]: start since the first start and duration, in ns.
        outputs: by name in the model's order, [evaluation samples, …] each; where they differ
            in shape, an array of arrays.
    """

    report: Mapping[str, Any]
    samples: NDArray[np.int64]
    outputs: Mapping[str, NDArray[np.generic]]


def read(folder: Path) -> Run:
    """Read result.json, samples.npy and outputs.npz.

    Raises:
        InvalidInput: a file is missing, damaged or not what a run writes; it is named.
    """
    return Run(_report(folder / "result.json"), _samples(folder / "samples.npy"), _outputs(folder))


def _report(file: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(file.read_bytes())
    except DAMAGED as error:
        raise _unreadable(file, error) from None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise InvalidInput(f"this is not a {SCHEMA}", where=str(file))
    missing = [key for key in KEYS if key not in report]
    if missing:
        raise InvalidInput(f"the run lacks {', '.join(missing)}", where=str(file))
    return report


def _samples(file: Path) -> NDArray[np.int64]:
    try:
        samples = np.load(file, allow_pickle=False)
    except DAMAGED as error:
        raise _unreadable(file, error) from None
    fits = isinstance(samples, np.ndarray) and samples.dtype == np.int64 and samples.ndim == 2
    if not fits or samples.shape[1] != 2 or not len(samples) or (samples < 0).any():
        raise InvalidInput("samples are int64 [n, 2], n ≥ 1, none negative", where=str(file))
    checked: NDArray[np.int64] = samples
    return checked


def _outputs(folder: Path) -> Mapping[str, NDArray[np.generic]]:
    file = folder / "outputs.npz"
    try:
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("not an npz archive")
            outputs = _joined({name: archive[name] for name in archive.files})
    except DAMAGED as error:
        raise _unreadable(file, error) from None
    if not outputs:
        raise InvalidInput("the run holds no outputs", where=str(file))
    return outputs


def _joined(arrays: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Outputs whose shapes stand beside them are cut into samples again.

    Raises:
        ValueError: they don't fit their shapes.
    """
    ragged = {name for name in arrays if SHAPES + name in arrays}
    return {
        name: _cut(values, arrays[SHAPES + name]) if name in ragged else values
        for name, values in arrays.items()
        if name.removeprefix(SHAPES) not in ragged or name in ragged
    }


def _cut(values: NDArray[np.generic], shapes: NDArray[np.generic]) -> NDArray[np.generic]:
    sizes = np.asarray(shapes, np.int64).prod(axis=1)
    if (sizes < 0).any() or values.shape != (sizes.sum(),):
        raise ValueError("an output does not fit its shapes")
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return stacked([part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])


def _unreadable(file: Path, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"the run's file can't be read: {error}", where=str(file), hint="measure again"
    )
