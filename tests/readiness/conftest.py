"""The model of the text-angle example."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import ModelProto


@pytest.fixture(scope="session")
def text_angle_model(example: Path) -> ModelProto:
    return onnx.load(example / "model.onnx")
