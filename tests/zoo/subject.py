"""What each of these models hands over, and how that becomes a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm import project

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Subject:
    """A model with its data.

    Attributes:
        calibration: arrays named as the model's inputs, the sample axis first.
        evaluation: the same and `label`.
        settings: further lines of the project file's section [data].
    """

    model: ModelProto
    calibration: Arrays
    evaluation: Arrays
    settings: str = ""


def write(subject: Subject, folder: Path) -> project.Project:
    """Make a project of it, without a budget, and read that back."""
    folder.mkdir()
    onnx.save(subject.model, folder / "model.onnx")
    np.savez(folder / "calibration.npz", **subject.calibration)
    np.savez(folder / "evaluation.npz", **subject.evaluation)
    (folder / project.FILE).write_text(
        '[model]\nsource = "model.onnx"\n'
        '[data]\ncalibration = "calibration.npz"\nevaluation = "evaluation.npz"\n'
        + subject.settings
    )
    return project.load(folder)


def size(file: Path) -> int:
    """Bytes of a model without what an exporter noted beside its nodes, which would flatter
    any ratio."""
    model = onnx.load(file)
    for node in model.graph.node:
        del node.metadata_props[:]
    return model.ByteSize()
