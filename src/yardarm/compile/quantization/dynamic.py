"""Nodes whose inputs are quantized as they come: int8 weights without calibration.

MatMul and Gemm as the pattern that onnxruntime fuses into one kernel; LSTM and onnxruntime's
fused Attention as operators of its own.
Weights are turned so that outputs are columns, and named apart from those that other forms of
other nodes keep of the same tensor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from yardarm.compile.normalising import graphs
from yardarm.compile.quantization import encode
from yardarm.compile.quantization.encode import Parts
from yardarm.compile.quantization.forms import CONTRIB


def write(parts: Parts, node: NodeProto, known: Mapping[str, TensorProto]) -> None:
    """Append what computes `node` in dynamic int8; weights have a scale for each output."""
    if node.op_type == "LSTM":
        parts.nodes.append(_lstm(parts, node, known))
    elif node.op_type == "Attention":
        parts.nodes.append(_attention(parts, node, known))
    else:
        _product(parts, node, known)


def declare(model: ModelProto) -> None:
    """Import the operator sets that the written nodes use, and no others."""
    used = {node.domain for node in graphs.nodes(model.graph)}
    kept = [entry for entry in model.opset_import if entry.domain in used | {"", "ai.onnx"}]
    missing = CONTRIB in used - {entry.domain for entry in kept}
    del model.opset_import[:]
    model.opset_import.extend(kept)
    if missing:
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))


def _product(parts: Parts, node: NodeProto, known: Mapping[str, TensorProto]) -> None:
    name, made = node.input[1], node.output[0]
    weight = np.asarray(numpy_helper.to_array(known[name]), np.float32)
    values, scale = encode.channelwise(_upright(node, weight), 1)
    given = _quantized_input(parts, node.input[0])
    integers = [given[0], parts.constant(f"{name}/columns/int", values), given[2]]
    parts.node("MatMulInteger", integers, f"{made}/sum")
    parts.node("Cast", [f"{made}/sum"], f"{made}/counted", to=TensorProto.FLOAT)
    parts.node("Mul", [given[1], parts.constant(f"{name}/columns/scale", scale)], f"{made}/step")
    bias = node.input[2] if len(node.input) > 2 else ""
    product = f"{made}/product" if bias else made
    parts.node("Mul", [f"{made}/counted", f"{made}/step"], product)
    if bias:
        parts.node("Add", [product, bias], made)


def _upright(node: NodeProto, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    turned = any(held.name == "transB" and held.i for held in node.attribute)
    return np.ascontiguousarray(weight.T) if turned else weight


def _quantized_input(parts: Parts, name: str) -> list[str]:
    """Value, scale and zero point; one quantization serves all that read the tensor."""
    outputs = [f"{name}/dynamic", f"{name}/dynamic-scale", f"{name}/dynamic-zero"]
    label = f"{name}/DynamicQuantizeLinear"
    if not any(made.name == label for made in parts.nodes):
        parts.nodes.append(helper.make_node("DynamicQuantizeLinear", [name], outputs, name=label))
    return outputs


def _lstm(parts: Parts, node: NodeProto, known: Mapping[str, TensorProto]) -> NodeProto:
    """onnxruntime's DynamicQuantizeLSTM: weights [directions, inputs, 4 × hidden] with a scale
    for each direction and output."""
    inputs = [*node.input, *[""] * (8 - len(node.input))]
    ends = []
    for place in (1, 2):
        name = inputs[place]
        weight = np.asarray(numpy_helper.to_array(known[name]), np.float32)
        turned = np.ascontiguousarray(weight.transpose(0, 2, 1))
        pairs = [encode.channelwise(each, 1) for each in turned]
        values = np.stack([pair[0] for pair in pairs])
        scale = np.stack([pair[1] for pair in pairs])
        inputs[place] = parts.constant(f"{name}/columns/int", values)
        ends += [
            parts.constant(f"{name}/columns/scale", scale),
            parts.constant(f"{name}/columns/zero", np.zeros(scale.shape, np.int8)),
        ]
    fresh = helper.make_node(
        "DynamicQuantizeLSTM", [*inputs, *ends], list(node.output), node.name, domain=CONTRIB
    )
    fresh.attribute.extend(held for held in node.attribute if held.name != "layout")
    return fresh


def _attention(parts: Parts, node: NodeProto, known: Mapping[str, TensorProto]) -> NodeProto:
    """onnxruntime's QAttention: weights [inputs, 3 × hidden] with a scale for each column."""
    name = node.input[1]
    values, scale = encode.channelwise(
        np.asarray(numpy_helper.to_array(known[name]), np.float32), 1
    )
    given = _quantized_input(parts, node.input[0])
    held = [
        parts.constant(f"{name}/columns/int", values),
        parts.constant(f"{name}/columns/scale", scale),
        parts.constant(f"{name}/columns/zero", np.zeros(scale.shape, np.int8)),
    ]
    mask = node.input[3] if len(node.input) > 3 else ""
    inputs = [given[0], held[0], node.input[2], given[1], held[1], mask, given[2], held[2]]
    fresh = helper.make_node("QAttention", inputs, list(node.output)[:1], node.name, domain=CONTRIB)
    fresh.attribute.extend(node.attribute)
    return fresh
