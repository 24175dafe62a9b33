"""The model of the text-angle example."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto


@pytest.fixture(scope="session")
def text_angle_model(repository: Path) -> ModelProto:
    folder = repository / "examples" / "text-angle"
    subprocess.run([sys.executable, folder / "prepare.py"], check=True, timeout=900)
    return onnx.load(folder / "model.onnx")
