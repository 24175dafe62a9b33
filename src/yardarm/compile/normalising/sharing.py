"""Weights that several nodes share, given to each of them where int8 needs them apart.

The int8 writer stores a bias in the scale of its node's input and weights, and weights in
one scale for each slice along one axis: neither can be shared by nodes that want others.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto, NodeProto, TensorProto

from yardarm.compile.normalising import graphs

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
BIAS = 2  # the place of the bias among the inputs


def split(model: ModelProto) -> ModelProto:
    """A copy in which every bias has one reader, and weights only readers of one kind."""
    apart = graphs.copied(model)
    held = {tensor.name: tensor for tensor in apart.graph.initializer}
    counted = graphs.uses(apart.graph)
    taken = set(held) | set(graphs.producers(apart.graph)) | set(counted)
    first: dict[str, str] = {}
    for node in apart.graph.node:
        for place, kind in _weights(node):
            name = node.input[place]
            if name not in held or counted[name] < 2:
                continue
            if place != BIAS and first.setdefault(name, kind) == kind:
                continue
            node.input[place] = _own(apart, held[name], node, taken)
            counted[name] -= 1
    return apart


def _weights(node: NodeProto) -> Iterator[tuple[int, str]]:
    """The places of a node's weights, and along which axis they have their scales."""
    if node.op_type in CONVOLUTIONS and len(node.input) > 1:
        yield 1, node.op_type
    elif node.op_type == "Gemm":
        turned = any(entry.name == "transB" and entry.i for entry in node.attribute)
        yield 1, "Gemm, transposed" if turned else "MatMul"
    elif node.op_type == "MatMul":
        yield 1, "MatMul"
    if node.op_type in CONVOLUTIONS | {"Gemm"} and len(node.input) > BIAS:
        yield BIAS, ""


def _own(model: ModelProto, tensor: TensorProto, node: NodeProto, taken: set[str]) -> str:
    copy = TensorProto()
    copy.CopyFrom(tensor)
    number = 1
    while (name := f"{tensor.name}/{number}") in taken:
        number += 1
    copy.name = name
    taken.add(name)
    model.graph.initializer.append(copy)
    return name
