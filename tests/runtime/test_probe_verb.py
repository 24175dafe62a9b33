from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import helper

from yardarm.compile.explaining.kernels import kernels
from yardarm_runtime.engines.onnxruntime import medians


@pytest.fixture
def probe(runtime, plan, data, tmp_path):
    def run(bundle, **changes):
        words = ["--plan", plan(**changes), "--data", data, "--output", tmp_path / "out"]
        return runtime("probe", "--bundle", bundle, *words)

    return run


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("batch", ["N", 7])
def test_a_model_is_timed_as_a_whole_and_by_operator(make_bundle, probe, tmp_path, batch):
    bundle = make_bundle(batch)
    model = onnx.load(bundle / "model.onnx")
    model.graph.node[0].name = "product"
    onnx.save(model, bundle / "model.onnx")
    outcome = probe(bundle, operators=5)
    assert outcome.returncode == 0, outcome.stderr
    assert files(tmp_path) == ["operators.json", "optimised.onnx", "samples.npy"]
    table = np.load(tmp_path / "out" / "samples.npy")
    assert table.dtype == np.int64 and table.shape == (50, 2)
    times = json.loads((tmp_path / "out" / "operators.json").read_text())
    (kernel,) = kernels(onnx.load(tmp_path / "out" / "optimised.onnx"), times)
    assert (kernel.name, kernel.op) == ("product", "MatMul") and kernel.us >= 0
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert lines[-1] == {"done": 50, "total": 50, "phase": "latency"}


def test_operators_are_timed_only_when_asked(make_bundle, probe, tmp_path):
    assert probe(make_bundle()).returncode == 0
    assert files(tmp_path) == ["samples.npy"]


@pytest.mark.parametrize("changes", [{"operators": True}, {"operators": "3"}, {"inputs": ["z"]}])
def test_a_wrong_plan_is_refused(make_bundle, probe, told, changes):
    outcome = probe(make_bundle(), **changes)
    assert outcome.returncode == 3 and told(outcome)


def test_a_model_that_does_not_load_is_refused(make_bundle, probe, told):
    bundle = make_bundle()
    model = onnx.load(bundle / "model.onnx")
    model.graph.node.append(helper.make_node("NoSuchOperator", ["y.npy"], ["z"]))
    onnx.save(model, bundle / "model.onnx")
    outcome = probe(bundle)
    assert outcome.returncode == 3 and "can't be loaded" in told(outcome)


def test_medians_leave_the_warm_up_out():
    events = [{"cat": "Node", "name": "a_kernel_time", "dur": dur} for dur in (900, 1, 2, 9)] + [
        {"cat": "Session", "name": "model_run", "dur": 4}
    ]
    assert medians(events, 1) == {"a": 2}
