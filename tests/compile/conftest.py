"""Small models with data to go with them, and the text-angle example made ready once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from small_models import answers, convolutions, images

PROJECT = """\
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
batch = 16
"""

Projects = Callable[..., Path]


@pytest.fixture
def small(tmp_path: Path) -> Projects:
    """Make a project in a folder: `small(budget="max_drop = 0.1")`. The labels are the
    model's own answers, so that it scores 1. Keywords replace arrays of the data sets."""

    def make(
        *,
        batch: int | None = None,
        extra: str = "",
        evaluation: Any = None,
        calibration: Any = None,
    ) -> Path:
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        model = convolutions(batch)
        onnx.save(model, folder / "model.onnx")
        x = images(2, 96)
        truth = {"x:0": x, "label": answers(convolutions(), x, 32).argmax(axis=1)}
        np.savez(folder / "calibration.npz", **({"x:0": images(1, 50)} | (calibration or {})))
        np.savez(folder / "evaluation.npz", **(truth | (evaluation or {})))
        (folder / "yardarm.toml").write_text(PROJECT + extra)
        return folder

    return make


@pytest.fixture(scope="session")
def text_angle(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as a user has it after its prepare.py: a copy, so that stores stay apart."""
    folder = tmp_path_factory.mktemp("example") / "text-angle"
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns(".yardarm"))
    return folder
