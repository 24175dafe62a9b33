"""A small model and images for it.

`from small_models import convolutions, images, answers`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def convolutions(batch: int | None = None, opset: int = 11) -> onnx.ModelProto:
    """Convolution, batch norm, relu, residual add, pooling and a classifier; weights in
    Constant nodes, as some exporters write them. Input `x:0` [batch, 3, 12, 12]."""
    random = np.random.default_rng(3)
    weights = {
        "w1": random.normal(0, 0.4, (8, 3, 3, 3)) * np.geomspace(0.05, 4, 8)[:, None, None, None],
        "scale": random.uniform(0.5, 2, 8),
        "shift": random.normal(0, 1, 8),
        "mean": random.normal(0, 1, 8),
        "variance": random.uniform(0.5, 2, 8),
        "w2": random.normal(0, 0.2, (8, 8, 3, 3)),
        "b2": random.normal(0, 0.1, 8),
        "w3": random.normal(0, 1, (8, 4)),
        "b3": np.zeros(4),
    }
    nodes = [
        helper.make_node(
            "Constant", [], [name], value=numpy_helper.from_array(value.astype(np.float32))
        )
        for name, value in weights.items()
    ]
    nodes += [
        helper.make_node("Conv", ["x:0", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n"]),
        helper.make_node("Relu", ["n"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c2", "r1"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=1),
    ]
    length = batch or "N"
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x:0", TensorProto.FLOAT, [length, 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [length, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    helper.set_model_props(model, {"owner": "the user"})
    return model


def images(seed: int, count: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(0, 1, (count, 3, 12, 12)).astype(np.float32)


def answers(model: onnx.ModelProto | Path, x: np.ndarray, batch: int) -> np.ndarray:
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    parts = [session.run(["y"], {"x:0": x[at : at + batch]})[0] for at in range(0, len(x), batch)]
    return np.concatenate(parts)
