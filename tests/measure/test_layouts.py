"""Host and device feed a model alike, whatever its layout: a project's set goes out, its
answers come back, and both sides score the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from yardarm import compile as compiler
from yardarm import datasets, measure, metrics, project
from yardarm.store import Store

TOML = """
[model]
source = "model.onnx"
[data]
calibration = "feeding:samples"
evaluation = "feeding:samples"
constant_inputs = ["scale"]
batch = {batch}
{axes}
"""

FEEDING = """
import numpy as np

def samples():
    random = np.random.default_rng(3)
    for number in range(21):
        x = random.normal(size=({length}, 4)).astype(np.float32)
        yield {{"x": x, "scale": np.float32(2), "label": x.argmax(axis=-1)}}
"""

LAYOUTS = {
    "frames first": (["t", "n", 4], "5", 8, 'input_batch_axis = { x = 1 }\n'
                     'output_batch_axis = { y = 1 }'),
    "fixed batch": ([5, 2, 4], "5", 8, 'input_batch_axis = { x = 1 }\n'
                    'output_batch_axis = { y = 1 }'),
    "unequal": (["t", 4], "2 + number % 4", 0, ""),
}  # fmt: skip


def model(shape: list[Any]) -> onnx.ModelProto:
    floats = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, form)
        for name, form in (("x", shape), ("scale", []), ("y", shape))
    ]
    nodes = [helper.make_node("Mul", ["x", "scale"], ["y"])]
    graph = helper.make_graph(nodes, "scaled", floats[:2], floats[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_host_and_device_answer_alike(kind: str, tmp_path: Path) -> None:
    shape, length, batch, axes = LAYOUTS[kind]
    (tmp_path / "yardarm.toml").write_text(TOML.format(batch=batch, axes=axes))
    (tmp_path / "feeding.py").write_text(FEEDING.format(length=length))
    onnx.save(model(shape), tmp_path / "model.onnx")
    opened = project.load(tmp_path)
    options = opened.data.model_dump(mode="json")
    (tmp_path / "manifest.json").write_text(json.dumps({"options": options}))
    dataset = datasets.open_dataset(opened.path(opened.data.evaluation), opened.layout)

    outputs = on_device(opened, dataset)
    engine = compiler.Engine(tmp_path / "model.onnx", layout=opened.layout)
    parts = [answers["y"] for _, answers in engine.over(dataset, opened.layout.size)]
    ours, theirs = compiler.joined(parts), outputs["y"]
    assert len(theirs) == 21
    assert all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))
    found = metrics.compare(opened.metric, {"y": ours}, outputs, dataset.read("label"))
    assert (found.after.value, found.drop.value) == (1.0, 0.0)


def on_device(opened: project.Project, dataset: datasets.Dataset) -> measure.Outputs:
    """The runtime, as a device runs it."""
    root, store = opened.root, Store(opened.root / "store")
    plan = measure.plan(opened, {"inputs": [{"name": "x"}, {"name": "scale"}]})
    (root / "plan.json").write_text(json.dumps(plan | {"iterations": 2, "warmup": 0}))
    data = store.path(measure.export(dataset, plan["inputs"], store).digest)
    subprocess.run(
        [sys.executable, "-m", "yardarm_runtime", "bench", "--bundle", ".", "--plan", "plan.json",
         "--data", data, "--output", "out"],
        cwd=root, check=True, timeout=60, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return measure.read(root / "out").outputs
