"""The pass over the evaluation data: what the model answers to every sample.

Outputs go to disk batch by batch, so that memory stays flat however many there are.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from typing import Any, Callable, Dict

import numpy as np

from yardarm_runtime import arrays
from yardarm_runtime.engine import Engine, in_batches
from yardarm_runtime.problems import Problem


def outputs_over(
    engine: Engine,
    data: arrays.Archive,
    plan: Dict[str, Any],
    target: str,
    progress: Callable[[str, int, int], None],
) -> None:
    """Run all samples and write the outputs, [n, …] each by its name, as the npz `target`.

    Raises:
        Problem: the data don't fit the model, or an output changes its shape on the way.
    """
    members = {name: data.member(name) for name in plan["inputs"]}
    size = engine.batch or plan["batch"]
    total = next(iter(members.values())).samples
    with tempfile.TemporaryDirectory(prefix=".outputs-", dir=os.path.dirname(target)) as folder:
        files = {}  # type: Dict[str, Any]
        done = 0
        for feeds in arrays.batches(members, size):
            outputs = in_batches(engine, feeds)
            for name, array in outputs.items():
                if name not in files:
                    files[name] = _memory_map(folder, len(files), total, array)
                _store(name, files[name], done, array)
            done += next(iter(outputs.values())).shape[0]
            progress("accuracy", done, total)
        _pack(files, target)


def _memory_map(folder: str, index: int, total: int, like: np.ndarray[Any, Any]) -> Any:
    path = os.path.join(folder, "%d.npy" % index)
    return np.lib.format.open_memmap(path, "w+", like.dtype, (total,) + like.shape[1:])


def _store(name: str, file: Any, begin: int, array: np.ndarray[Any, Any]) -> None:
    if array.shape[1:] != file.shape[1:]:
        raise Problem(
            "output %r has shape %s for some samples and %s for others"
            % (name, file.shape[1:], array.shape[1:])
        )
    file[begin : begin + array.shape[0]] = array


def _pack(files: Dict[str, Any], target: str) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, file in files.items():
            file.flush()
            with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as entry:
                with open(file.filename, "rb") as stream:
                    shutil.copyfileobj(stream, entry, 1 << 20)
