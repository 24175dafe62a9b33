"""One calibration of a project's model: `calibrators.py ours|MinMax|Entropy PROJECT`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from yardarm import project
from yardarm.compile.calibration.calibrate import calibrate
from yardarm.datasets import open_dataset
from yardarm.events import Step, silent


def ours(opened: project.Project) -> None:
    dataset = open_dataset(opened.path(opened.data.calibration), opened.layout)
    model = onnx.load(opened.path(opened.model.source))
    assert calibrate(model, dataset, Step(silent, "calibrate"))


def peer(opened: project.Project, method: str) -> None:
    from onnxruntime.quantization.calibrate import (
        CalibrationDataReader,
        CalibrationMethod,
        create_calibrator,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, feeds: Iterator[dict[str, Any]]) -> None:
            self._feeds = feeds

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    samples = np.load(opened.path(opened.data.calibration))["x"]
    size = opened.data.batch
    feeds = ({"x": samples[at : at + size]} for at in range(0, len(samples), size))
    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(
            opened.path(opened.model.source),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod[method],
        )
        calibrator.collect_data(Reader(feeds))
        assert calibrator.compute_data().data


if __name__ == "__main__":
    chosen, folder = sys.argv[1:]
    # On one core nobody's thread pool spins, which would count as CPU time.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    subject = project.load(Path(folder))
    ours(subject) if chosen == "ours" else peer(subject, chosen)
