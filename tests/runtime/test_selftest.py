"""The selftest where there is neither TensorRT nor a GPU."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipapp
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from yardarm_runtime import onnx_nodes, selftest
from yardarm_runtime.engines import Place
from yardarm_runtime.selftest import model, steps

KEYS = {"schema", "routes", "steps", "ok", "verified"}
ALONE = "import runpy\nrunpy.run_module('yardarm_runtime', run_name='__main__')\n"


def test_a_plain_machine_has_one_route(runtime: Callable[..., Any]) -> None:
    outcome = runtime("selftest", "--json")
    report = json.loads(outcome.stdout)
    assert outcome.returncode == 0 and set(report) == KEYS
    assert report["schema"] == "yardarm.selftest/1" and report["routes"] == ["onnxruntime"]
    steps = {step["name"]: step for step in report["steps"]}
    assert all({"name", "ok", "detail", "seconds"} <= set(step) for step in report["steps"])
    assert steps["TensorRT"]["ok"] is None and "JetPack" in steps["TensorRT"]["detail"]
    assert steps["CUDA"]["ok"] is None
    for kind in model.KINDS:
        figures = steps[f"onnxruntime, {kind}"]["figures"]
        assert 0 < figures["error"] <= model.TOLERANCE[kind] and figures["wall_us"] > 0
    assert report["verified"]["onnxruntime"] == onnxruntime.__version__


def test_people_read_lines(runtime: Callable[..., Any]) -> None:
    outcome = runtime("selftest")
    assert "ok        onnxruntime, int8: " in outcome.stdout
    assert outcome.stdout.splitlines()[-2:] == ["routes: onnxruntime", "nothing failed"]


def test_it_runs_from_a_zip_with_nothing_but_numpy(repository: Path, tmp_path: Path) -> None:
    packages, bare = tmp_path / "packages", tmp_path / "bare"
    for name in ("yardarm_runtime", "yardarm_wire"):
        shutil.copytree(repository / "src" / name, packages / name)
    (packages / "__main__.py").write_text(ALONE)
    zipapp.create_archive(packages, tmp_path / "runtime.pyz")
    bare.mkdir()
    (bare / "numpy").symlink_to(Path(np.__file__).parent)
    libraries = Path(np.__file__).parents[1] / "numpy.libs"
    (bare / "numpy.libs").symlink_to(libraries)
    words = [sys.executable, "-S", str(tmp_path / "runtime.pyz"), "selftest", "--json"]
    outcome = subprocess.run(
        words,
        env={"PYTHONPATH": str(bare)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    report = json.loads(outcome.stdout)
    assert outcome.returncode == 8 and report["routes"] == [] and report["ok"] is False
    assert [step["ok"] for step in report["steps"]] == [True, None, None, None]


def test_where_nothing_runs_a_model_that_is_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("no onnxruntime")

    monkeypatch.setattr(selftest.detect, "onnxruntime", missing)
    told: list[str] = []
    assert selftest.run(Place(), told.append)["ok"] is False
    assert told[-1] == "routes: none, nothing here can run a model"


def test_a_wrong_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model.TOLERANCE, "float16", 1e-9)
    told: list[str] = []
    report = selftest.run(Place(), told.append)
    assert report["ok"] is False and report["routes"] == []
    assert told[-1] == "failed: onnxruntime, float16"
    assert any(line.startswith("FAILED    onnxruntime, float16: the answer is") for line in told)


def test_people_who_wait_are_told_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    working = steps.Steps(told.append)
    working.goes_on("building: x", 0, 0)
    monkeypatch.setattr(steps, "PATIENCE_S", -1.0)
    working.goes_on("building: y", 1, 2)
    assert told == ["          ... building: y"]


@pytest.mark.parametrize("kind", model.KINDS)
@pytest.mark.parametrize("typed", [True, False])
def test_the_models_are_valid_and_their_answers_known(kind: str, typed: bool) -> None:
    made = model.make(kind, typed)
    parsed = onnx.load_model_from_string(made.file)
    onnx.checker.check_model(parsed, full_check=True)
    session = onnxruntime.InferenceSession(made.file, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {model.INPUT: made.image})
    limit = model.TOLERANCE[kind] * np.abs(made.scores).max()
    assert answer.dtype == np.float32 and np.abs(answer - made.scores).max() <= limit
    halves = any(item.data_type == onnx.TensorProto.FLOAT16 for item in parsed.graph.initializer)
    assert halves == (kind == "float16" and typed)
    nodes = [onnx_nodes.Node(node.name, node.op_type) for node in parsed.graph.node]
    assert onnx_nodes.of(made.file) == nodes


@pytest.mark.parametrize(
    "data", [b"", b"no model", b"\x3a\x05abc", b"\xff" * 12, b"\x3a\x04\x0a\x7fab", b"\x3b"]
)
def test_what_is_no_model_has_no_nodes(data: bytes) -> None:
    assert onnx_nodes.of(data) == []
