"""What onnxruntime's own quantization makes of a model, by its defaults."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from yardarm.compile import Engine
from yardarm.datasets import Dataset, open_dataset
from yardarm.project import Project


class Reader(CalibrationDataReader):
    """Calibration batches, their axes as the model has them."""

    def __init__(self, dataset: Dataset, inputs: tuple[str, ...]) -> None:
        self._layout = dataset.layout
        self._feeds: Iterator[dict[str, Any]] = dataset.batches(dataset.layout.size, inputs)

    def get_next(self) -> dict[str, Any] | None:
        feed = next(self._feeds, None)
        if feed is None:
            return None
        axes = self._layout.input_axis
        return {name: np.moveaxis(array, 0, axes.get(name, 0)) for name, array in feed.items()}


def quantize(project: Project, target: Path) -> Path:
    """Static int8, every node, ranges from minimum to maximum, a scale a tensor."""
    source = project.path(project.model.source)
    calibration = open_dataset(project.path(project.data.calibration), project.layout)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # advice for people
    try:
        quantize_static(source, target, Reader(calibration, Engine(source).inputs))
    finally:
        logging.disable(before)
    return target


def accuracy(project: Project, model: Path) -> float:
    """Share of the evaluation samples whose largest output is the label."""
    evaluation = open_dataset(project.path(project.data.evaluation), project.layout)
    engine = Engine(model, layout=project.layout)
    output = project.metric.output or engine.outputs[0]
    hits = [
        answers[output].argmax(-1) == feed["label"]
        for feed, answers in engine.over(evaluation, project.layout.size, ["label"])
    ]
    return float(np.concatenate(hits).mean())
