"""The layer-wise difference: what it compares, and that it says what numpy says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from yardarm import datasets, events
from yardarm.artifacts import Layout
from yardarm.compile.explaining.difference import Departure, difference, grouped

SCALE = 0.05


def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (6, 5)).astype(np.float32)


def graph(nodes: list[onnx.NodeProto], values: dict[str, np.ndarray]) -> onnx.ModelProto:
    held = [numpy_helper.from_array(array, name) for name, array in values.items()]
    body = helper.make_graph(
        nodes,
        "two layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        held,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def original() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], "dense"),
        helper.make_node("Neg", ["product"], ["less"], "turn"),
        helper.make_node("Relu", ["less"], ["y"], "gate"),
    ]
    return graph(nodes, {"w": weights()})


def written(scale: float = SCALE, name: str = "p") -> onnx.ModelProto:
    """The product rounded to steps of `scale`, under a short name."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], [name], "a"),
        helper.make_node("QuantizeLinear", [name, "scale", "zero"], ["q"], "b"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["back"], "c"),
        helper.make_node("Neg", ["back"], ["less"], "d"),
        helper.make_node("Relu", ["less"], ["y"], "e"),
    ]
    values = {
        "w": weights(),
        "scale": np.array(scale, np.float32),
        "zero": np.array(0, np.int8),
    }
    return graph(nodes, values)


NAMES = {
    "nodes": {"a": "dense", "d": "turn", "e": "gate"},
    "tensors": {"p": "product"},
}


def run(folder: Path, model: onnx.ModelProto, **options: Any) -> Any:
    file = folder / "set.npz"
    np.savez(file, x=samples())
    opened = datasets.open_dataset(file, Layout(batch=options.pop("batch", 16)))
    with events.step(events.silent, "difference", "difference") as step:
        return difference(original(), model, opened, step, **({"names": NAMES} | options))


def samples() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (70, 6)).astype(np.float32)


def rounded() -> tuple[np.ndarray, np.ndarray]:
    product = samples() @ weights()
    return product, np.clip(np.rint(product / SCALE), -128, 127) * SCALE


def decibels(want: np.ndarray, have: np.ndarray) -> float:
    power = np.sum(np.square(want, dtype=np.float64))
    return float(10 * np.log10(power / np.sum(np.square(want - have, dtype=np.float64))))


def test_it_agrees_with_numpy_and_is_sorted_worst_first(tmp_path: Path) -> None:
    found = run(tmp_path, written())
    product, back = rounded()
    truth = {
        "product": decibels(product, back),
        "less": decibels(product, back),
        "y": decibels(np.maximum(-product, 0), np.maximum(-back, 0)),
    }
    assert found.samples == 70
    assert {n.tensor: n.snr_db for n in found.nodes} == pytest.approx(truth, abs=0.01)
    shares = [node.snr_db for node in found.nodes]
    assert shares == sorted(shares)
    (dense,) = [node for node in found.nodes if node.tensor == "product"]
    flat = product.ravel() @ back.ravel() / np.linalg.norm(product) / np.linalg.norm(back)
    assert (dense.node, dense.op, dense.inputs_db) == ("dense", "MatMul", None)
    assert dense.cosine == pytest.approx(flat, abs=1e-6)
    (turn,) = [node for node in found.nodes if node.node == "turn"]
    assert turn.inputs_db == dense.snr_db


def test_a_damaged_node_is_told_from_those_that_only_inherit(tmp_path: Path) -> None:
    coarse = {node.node: node for node in run(tmp_path, written(scale=1.0)).nodes}
    assert coarse["dense"].snr_db is not None
    assert coarse["dense"].snr_db < 25
    assert coarse["turn"].inputs_db == coarse["turn"].snr_db


@pytest.mark.parametrize(("batch", "working_set"), [(16, 100), (7, 32_000_000), (70, 1)])
def test_batches_and_groups_change_nothing(batch: int, working_set: int, tmp_path: Path) -> None:
    whole = run(tmp_path, written(), batch=70)
    parts = run(tmp_path, written(), batch=batch, working_set=working_set)
    assert [node.node for node in parts.nodes] == [node.node for node in whole.nodes]
    for part, one in zip(parts.nodes, whole.nodes, strict=True):
        assert part.snr_db == pytest.approx(one.snr_db, abs=1e-6)
        assert part.cosine == pytest.approx(one.cosine, abs=1e-9)


def test_a_large_set_is_thinned(tmp_path: Path) -> None:
    assert run(tmp_path, written(), batch=5, samples=20).samples <= 20


def test_the_same_model_differs_nowhere(tmp_path: Path) -> None:
    found = run(tmp_path, original(), names=None)
    assert [(n.snr_db, n.finite) for n in found.nodes] == [(None, True)] * 3
    assert found.missing == ()


def test_infinity_comes_first_and_is_no_number_in_json(tmp_path: Path) -> None:
    model = written()
    for tensor in model.graph.initializer:
        if tensor.name == "w":
            tensor.CopyFrom(numpy_helper.from_array(weights() * np.float32(1e38), "w"))
    found = run(tmp_path, without_quantization(model))
    assert not found.nodes[0].finite
    assert found.nodes[0].snr_db is None
    assert "Infinity" not in json.dumps(found.to_json())
    assert "NaN" not in json.dumps(found.to_json())


def without_quantization(model: onnx.ModelProto) -> onnx.ModelProto:
    nodes = [n for n in model.graph.node if "Linear" not in n.op_type]
    next(n for n in nodes if n.name == "d").input[0] = "p"
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def test_what_the_written_model_lacks_is_named(tmp_path: Path) -> None:
    found = run(tmp_path, written(), names={})
    assert found.missing == ("dense",)
    assert all(isinstance(node, Departure) for node in found.nodes)


def test_what_is_not_there_passes_on_what_it_got(tmp_path: Path) -> None:
    model = written()
    (turn, gate) = (node for node in model.graph.node if node.name in "de")
    turn.output[0] = gate.input[0] = "elsewhere"
    found = {node.node: node for node in run(tmp_path, model).nodes}
    assert found.keys() == {"dense", "gate"}
    assert found["gate"].inputs_db == found["dense"].snr_db


def test_groups_fit_the_limit_and_keep_the_order() -> None:
    sizes = {"a": 4, "b": 4, "c": 9, "d": 1, "e": 7}
    assert list(grouped(sizes, 8)) == [["a", "b"], ["c"], ["d", "e"]]
    assert list(grouped({}, 8)) == []
