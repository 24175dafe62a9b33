"""Walks over ONNX graphs and the graphs inside of them (`If`, `Loop`, `Scan`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, MutableSequence, Sequence

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

STANDARD = ("", "ai.onnx")


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node carries as attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def nodes(graph: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    """Every node, those of inner graphs after the node that holds them."""
    for node in graph.node:
        yield node
        for body in bodies(node):
            yield from nodes(body)


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every constant: initializers and attributes, those of inner graphs too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.t] if attribute.HasField("t") else attribute.tensors
        for body in bodies(node):
            yield from tensors(body)


def uses(graph: GraphProto) -> Counter[str]:
    """How often each tensor is read: by nodes, inner ones too, and as an output of a graph."""
    found = Counter(value.name for value in graph.output)
    for node in graph.node:
        found.update(name for name in node.input if name)
        for body in bodies(node):
            found.update(uses(body))
    return found


def reads(node: NodeProto) -> Iterator[str]:
    """What a node reads, then what the graphs inside of it mention."""
    yield from node.input
    for body in bodies(node):
        yield from uses(body)


def producers(graph: GraphProto) -> dict[str, NodeProto]:
    """The node that makes each tensor of this graph."""
    return {name: node for node in graph.node for name in node.output if name}


def rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Let every node, inner ones too, read `names[old]` where it read `old`, and the nodes of
    this graph write it."""
    for node in graph.node:
        _rename(node.output, names)
    for node in nodes(graph):
        _rename(node.input, names)
        for body in bodies(node):
            for value in body.output:
                value.name = names.get(value.name, value.name)


def _rename(held: MutableSequence[str], names: Mapping[str, str]) -> None:
    for place, name in enumerate(held):
        if name in names:
            held[place] = names[name]


def replace_nodes(graph: GraphProto, kept: Sequence[NodeProto]) -> None:
    """`kept` may hold nodes of the graph itself: they are copied before the old ones go."""
    copies = []
    for node in kept:
        copy = NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)


def copied(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy
