"""Small ONNX graphs for engines, as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)

Ports = dict[str, tuple[int, list[Any]]]


def packed(
    nodes: list[onnx.NodeProto],
    inputs: Ports,
    outputs: Ports,
    weights: dict[str, np.ndarray[Any, Any]] | None = None,
) -> bytes:
    values = [
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in ports.items()]
        for ports in (inputs, outputs)
    ]
    held = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "small", *values, held)
    opsets = [helper.make_opsetid("", 13)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=7).SerializeToString()
    return data


def convolution(batch: Any = "N", last: str = "Relu") -> bytes:
    """x [batch, 3, 8, 8] to y [batch, 4, 8, 8]; the node `last` is called "act"."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node(last, ["c"], ["y"], name="act"),
    ]
    ports: list[Ports] = [
        {"x": (TensorProto.FLOAT, [batch, 3, 8, 8])},
        {"y": (TensorProto.FLOAT, [batch, 4, 8, 8])},
    ]
    return packed(nodes, *ports, {"w": WEIGHTS})


def compared() -> bytes:
    """x [2, 3] to whether it is greater than its negative, bool; the node is "compare"."""
    nodes = [
        helper.make_node("Neg", ["x"], ["n"], name="negate"),
        helper.make_node("Greater", ["x", "n"], ["y"], name="compare"),
    ]
    return packed(nodes, {"x": (TensorProto.FLOAT, [2, 3])}, {"y": (TensorProto.BOOL, [2, 3])})


def unsupported() -> bytes:
    """Two nodes that no TensorRT has, each by its name."""
    nodes = [
        helper.make_node("Det", ["x"], ["d"], name="determinant"),
        helper.make_node("Unique", ["x"], ["u"], name="uniques"),
    ]
    ports: list[Ports] = [
        {"x": (TensorProto.FLOAT, [2, 2])},
        {"d": (TensorProto.FLOAT, []), "u": (TensorProto.FLOAT, ["n"])},
    ]
    return packed(nodes, *ports)


def gathered() -> bytes:
    """table [6, 2] float32 and index [n] int64 to rows [n, 2], and the index doubled, int64."""
    nodes = [
        helper.make_node("Gather", ["table", "index"], ["rows"], name="gather"),
        helper.make_node("Add", ["index", "index"], ["twice"], name="twice"),
    ]
    ports: list[Ports] = [
        {"table": (TensorProto.FLOAT, [6, 2]), "index": (TensorProto.INT64, ["n"])},
        {"rows": (TensorProto.FLOAT, ["n", 2]), "twice": (TensorProto.INT64, ["n"])},
    ]
    return packed(nodes, *ports)


def apart() -> bytes:
    """a [n] and b [m], float32, to twice a and twice b."""
    nodes = [helper.make_node("Add", [name, name], [f"twice_{name}"]) for name in "ab"]
    inputs: Ports = {name: (TensorProto.FLOAT, [f"{name}s"]) for name in "ab"}
    return packed(nodes, inputs, {f"twice_{name}": inputs[name] for name in "ab"})
