"""Short names for what users never address: long ones can be a third of a small model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from onnx import GraphProto, ModelProto, NodeProto, TensorProto


@dataclass(frozen=True)
class Names:
    """The names in a written file, with those that they stand for."""

    nodes: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)


def shorten(model: ModelProto) -> tuple[ModelProto, Names]:
    """A model with inputs and outputs named as before, and all else in few letters.

    Equal constants become one. Whatever a subgraph mentions keeps its name. No node has the name
    of a tensor: TensorRT makes layers of both.
    """
    small = ModelProto()
    small.CopyFrom(model)
    graph = small.graph
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    _merge(graph)
    fixed = {value.name for value in (*graph.input, *graph.output)} | set(_inner(graph))
    held = [tensor.name for tensor in graph.initializer]
    made = [name for node in graph.node for name in node.output if name]
    tensors = _numbered("t", [name for name in (*held, *made) if name not in fixed], fixed)
    for node in graph.node:
        node.input[:] = [tensors.get(name, name) for name in node.input]
        node.output[:] = [tensors.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = tensors.get(tensor.name, tensor.name)
    nodes = _numbered("n", [node.name for node in graph.node], fixed)
    for node in graph.node:
        node.name = nodes[node.name]
        node.doc_string = ""
        del node.metadata_props[:]  # an exporter's notes, longer than the node
    del graph.value_info[:]
    return small, Names(
        {short: name for name, short in nodes.items()},
        {short: name for name, short in tensors.items()},
    )


def _numbered(letter: str, names: list[str], taken: set[str]) -> dict[str, str]:
    """The shortest free names, in the order of the graph. A letter comes first, for some tools
    read names as numbers."""
    texts = (letter + _digits(number) for number in count())
    free = (text for text in texts if text not in taken)
    return dict(zip(dict.fromkeys(names), free, strict=False))


def _digits(number: int) -> str:
    """In base 36."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while True:
        number, rest = divmod(number, len(digits))
        text = digits[rest] + text
        if not number:
            return text


def _merge(graph: GraphProto) -> None:
    """Let equal constants be one, unless a name of theirs is the user's."""
    users = {value.name for value in (*graph.input, *graph.output)} | set(_inner(graph))
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for tensor in graph.initializer:
        if tensor.name not in users:
            same[tensor.name] = first.setdefault(_content(tensor), tensor.name)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    kept = [
        tensor for tensor in graph.initializer if same.get(tensor.name, tensor.name) == tensor.name
    ]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _content(tensor: TensorProto) -> bytes:
    bare = TensorProto()
    bare.CopyFrom(tensor)
    bare.name = ""
    data: bytes = bare.SerializeToString(deterministic=True)
    return data


def _inner(graph: GraphProto) -> Iterator[str]:
    """Every name in the bodies of If and Loop."""
    for body in _bodies(graph.node):
        yield from (tensor.name for tensor in body.initializer)
        for node in body.node:
            yield from (*node.input, *node.output)
        yield from (value.name for value in (*body.input, *body.output))
        yield from _inner(body)


def _bodies(nodes: list[NodeProto]) -> Iterator[GraphProto]:
    for node in nodes:
        for held in node.attribute:
            if held.HasField("g"):
                yield held.g
            yield from held.graphs
