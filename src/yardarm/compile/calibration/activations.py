"""Which tensors of a graph are activations, and what happens to them there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

CHANNELS = frozenset({"Conv", "ConvTranspose"})  # operators whose answers have them on axis 1
SUMS = frozenset({"Conv", "Gemm", "Add", "BatchNormalization"})


def floats(model: ModelProto) -> list[str]:
    """The graph's float32 tensors that depend on its inputs: what may become int8."""
    return list(dict.fromkeys(value.name for value in _values(model) if _is_float(value)))


def _values(model: ModelProto) -> list[ValueInfoProto]:
    graph = model.graph
    made = {name for node in graph.node for name in node.output}
    inner = [value for value in graph.value_info if value.name in made]
    return [*fed(model), *inner, *graph.output]


def fed(model: ModelProto) -> list[ValueInfoProto]:
    """The graph's inputs without those that initializers fill."""
    filled = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in filled]


def _is_float(value: ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)


def passed_on(model: ModelProto) -> dict[str, str]:
    """Sums that one Relu or Clip reads and nobody else, to what it makes of them."""
    graph = model.graph
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(value.name for value in graph.output)
    readers.update(name for node in graph.node for name in _captured(node))
    sums = {name for node in graph.node if node.op_type in SUMS for name in node.output[:1]}
    return {
        node.input[0]: node.output[0]
        for node in graph.node
        if node.op_type in ("Relu", "Clip")
        and node.input[0] in sums
        and readers[node.input[0]] == 1
    }


def _captured(node: NodeProto) -> Iterator[str]:
    """What the bodies of an If, a Loop or a Scan read, from outside or inside."""
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from (*inner.input, *_captured(inner))
            yield from (value.name for value in graph.output)


def channelled(model: ModelProto) -> list[str]:
    """Tensors whose second axis is that of a convolution's channels."""
    return [node.output[0] for node in model.graph.node if node.op_type in CHANNELS]
