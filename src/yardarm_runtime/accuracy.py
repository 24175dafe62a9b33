"""The pass over the evaluation data: what the model answers to every sample.

Outputs go to disk batch by batch, so that memory stays flat however many there are.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from yardarm_runtime import arrays
from yardarm_runtime.engines import Engine, in_batches
from yardarm_runtime.problems import Problem
from yardarm_wire.arrays import SHAPES


def outputs_over(
    engine: Engine,
    data: arrays.Archive,
    plan: Dict[str, Any],
    target: str,
    progress: Callable[[str, int, int], None],
) -> None:
    """Run all samples and write the outputs, [n, …] each by its name, as the npz `target`.

    Without a batch axis samples may differ in shape, and so may answers: they are written
    as `SHAPES` says.

    Raises:
        Problem: the data don't fit the model, or an output changes its shape within a batch.
    """
    constant = engine.layout.constant
    whole = {name: data.read(name) for name in plan["inputs"] if name in constant}
    members = {name: data.samples(name) for name in plan["inputs"] if name not in constant}
    total = next((member.samples for member in members.values()), 1)
    size = 1 if not engine.layout.batch else engine.batch or plan["batch"]
    files: Dict[str, Answers] = {}
    with tempfile.TemporaryDirectory(prefix=".outputs-", dir=os.path.dirname(target)) as folder:
        done = 0
        for feeds in arrays.batches(members, size) if members else [{}]:
            for name, array in in_batches(engine, dict(feeds, **whole)).items():
                if name not in files:
                    files[name] = Answers(name, os.path.join(folder, str(len(files))), array)
                files[name].add(array, ragged=not engine.layout.batch)
            done = min(done + size, total)
            progress("accuracy", done, total)
        _pack(files, target)


class Answers:
    """One output's answers in a file, and the shape of each."""

    def __init__(self, name: str, path: str, first: np.ndarray[Any, Any]) -> None:
        self.name = name
        self.dtype = first.dtype
        self.shapes: List[Tuple[int, ...]] = []
        self.path = path

    def add(self, array: np.ndarray[Any, Any], ragged: bool) -> None:
        shape = array.shape[1:]
        known = self.shapes[0] if self.shapes else shape
        if array.dtype != self.dtype or len(shape) != len(known) or (shape != known and not ragged):
            raise Problem(
                "output %r has shape %s for some samples and %s for others"
                % (self.name, known, shape)
            )
        self.shapes.extend([shape] * array.shape[0])
        with open(self.path, "ab") as stream:
            stream.write(np.ascontiguousarray(array).tobytes())

    @property
    def ragged(self) -> bool:
        return len(set(self.shapes)) > 1

    @property
    def shape(self) -> Tuple[int, ...]:
        """Of the array that is written: [n, …], or all values one after the other."""
        if self.ragged:
            return (int(np.prod(self.shapes, axis=1, dtype=np.int64).sum()),)
        return (len(self.shapes),) + self.shapes[0]


def _pack(files: Dict[str, Answers], target: str) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, answers in files.items():
            with _entry(archive, name) as entry:
                header = {
                    "descr": np.lib.format.dtype_to_descr(answers.dtype),
                    "fortran_order": False,
                    "shape": answers.shape,
                }
                np.lib.format.write_array_header_1_0(entry, header)
                with open(answers.path, "rb") as stream:
                    shutil.copyfileobj(stream, entry, 1 << 20)
            if answers.ragged:
                with _entry(archive, SHAPES + name) as entry:
                    np.lib.format.write_array(entry, np.array(answers.shapes, np.int64))


def _entry(archive: zipfile.ZipFile, name: str) -> Any:
    return archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True)
