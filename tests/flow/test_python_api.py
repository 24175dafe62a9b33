"""`import yardarm`: light, and what its docstring promises."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest

import yardarm
from small_models import answers, convolutions, images
from yardarm.errors import InvalidInput

SETTINGS = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
"""


def test_importing_it_loads_nothing_else() -> None:
    code = "import sys, yardarm; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert [name for name in loaded if name.startswith("yardarm")] == ["yardarm"]
    assert not {"onnx", "onnxruntime", "numpy", "fabric", "paramiko", "pydantic"} & set(loaded)


def test_the_docstring_names_what_is_there() -> None:
    promised = re.findall(r"^    (\w+)\(", yardarm.__doc__ or "", re.MULTILINE)
    names = set(promised) - {"print"}  # of the example
    assert "ship" in names and names == set(yardarm._FUNCTIONS)
    for name in names:
        assert callable(getattr(yardarm, name)) and name in dir(yardarm)
    with pytest.raises(AttributeError, match="no_such_verb"):
        _ = yardarm.no_such_verb


def test_the_docstrings_example_runs(tmp_path: Path) -> None:
    (tmp_path / "yardarm.toml").write_text(SETTINGS)
    onnx.save(convolutions(), tmp_path / "model.onnx")
    x = images(2, 64)
    np.savez(tmp_path / "calibration.npz", **{"x:0": images(1, 32)})
    labels = answers(convolutions(), x, 32).argmax(axis=1)
    np.savez(tmp_path / "evaluation.npz", **{"x:0": x, "label": labels})
    example = re.search(r"    import yardarm\n.*?\n\n.*?\n\n", yardarm.__doc__ or "", re.DOTALL)
    assert example is not None
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(example[0])],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.startswith("sha256:"), done.stderr
    with pytest.raises(InvalidInput, match="nothing was measured"):
        yardarm.write_report(tmp_path)
