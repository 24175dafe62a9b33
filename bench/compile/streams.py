"""One way through a network's images, in a process of its own:
`streams.py plain|ours|MinMax|Entropy|Percentile MODEL IMAGES REPORT`.

Writes to REPORT what the work took in CPU seconds, imports left out. The model is loaded and
its session made within it, whoever does the work.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST = 14_000_000_000  # bytes: a peer that takes more fails instead of the machine
SIZE = 8


def plain(model: Path, images: Path) -> None:
    """One image at a time, which is the quickest per image on most machines."""
    engine = Engine(model)
    for _ in engine.over(open_dataset(images), 1):
        pass


def ours(model: Path, images: Path) -> None:
    dataset = open_dataset(images, Layout(SIZE))
    assert calibrate(onnx.load(model), dataset, Step(silent, "calibrate"))


def peer(method: str, model: Path, images: Path) -> None:
    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, feeds: Iterator[dict[str, Any]]) -> None:
            self._feeds = feeds

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    calibrator = create_calibrator(
        model,
        augmented_model_path=str(model.with_suffix(f".{method}.onnx")),
        calibrate_method=CalibrationMethod[method],
    )
    calibrator.collect_data(Reader(open_dataset(images).batches(SIZE)))
    assert calibrator.compute_data().data


if __name__ == "__main__":
    way, model_file, data_file, report = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))
    # On one core nobody's thread pool spins, which would count as CPU time.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import onnx

    from yardarm.artifacts import Layout
    from yardarm.compile.calibration.calibrate import calibrate
    from yardarm.compile.session import Engine
    from yardarm.datasets import open_dataset
    from yardarm.events import Step, silent

    if way not in ("plain", "ours"):
        from onnxruntime.quantization.calibrate import (
            CalibrationDataReader,
            CalibrationMethod,
            create_calibrator,
        )
    begun = time.process_time()
    if way == "plain":
        plain(Path(model_file), Path(data_file))
    elif way == "ours":
        ours(Path(model_file), Path(data_file))
    else:
        peer(way, Path(model_file), Path(data_file))
    Path(report).write_text(json.dumps({"cpu": time.process_time() - begun}))
