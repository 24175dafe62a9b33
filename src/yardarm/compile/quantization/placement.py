"""Where a graph changes between float32 and int8.

Decided apart from writing, for the cost of a mix is in its changes as much as in its nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, TensorProto

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.normalising import graphs
from yardarm.compile.quantization.forms import Form, constants

# What moves values without computing can do so in int8, between nodes that compute in it.
MOVERS = frozenset(
    {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "MaxPool", "Slice", "DepthToSpace"}
)
CLAMPS = frozenset({"Relu", "Clip"})  # vanish in the rounding behind the node before them


@dataclass(frozen=True)
class Placement:
    """The tensors that exist in int8.

    Attributes:
        pairs: each such tensor with the one whose range it takes; both are mostly the same.
        produced: those that an int8 kernel makes; the others are float32 first.
        converted: those of `produced` that somebody wants in float32 as well.
        movers: names of nodes that move int8 values.
    """

    pairs: Mapping[str, str]
    produced: frozenset[str]
    converted: frozenset[str]
    movers: frozenset[str]


def place(
    model: ModelProto,
    forms: Mapping[str, Form],
    ranges: Mapping[str, Range],
    *,
    symmetric: bool,
) -> Placement:
    """Find the changes for nodes in given forms.

    Args:
        ranges: by tensor; those of clamped tensors are looked at.
        symmetric: activations have no zero point, so that no clamp can be absorbed.
    """
    nodes, known = model.graph.node, constants(model)
    finals = {value.name for value in model.graph.output}
    readers = readers_of(model)
    static = {node.name for node in nodes if forms.get(node.name) is Form.STATIC}
    wanted = {name for node in nodes if node.name in static for name in activations(node, known)}
    pairs: dict[str, str] = {}
    movers: set[str] = set()
    for node in nodes:
        if node.name in static:
            end = node.output[0] if symmetric else _end(node, readers, finals, ranges)
            pairs[end] = end
        elif _moves(node, pairs) and _leads(node, wanted, readers):
            movers.add(node.name)
            pairs[node.output[0]] = pairs[node.input[0]]
    produced = frozenset(pairs)
    floats = {
        name
        for node in nodes
        if node.name not in static | movers
        for name in graphs.reads(node)
        if name in produced
    }
    for name in sorted(wanted - produced):
        pairs[name] = name
    return Placement(pairs, produced, frozenset(floats | (finals & produced)), frozenset(movers))


def activations(node: NodeProto, known: Mapping[str, TensorProto]) -> list[str]:
    """The inputs of a computing node that are not constant."""
    return [name for name in node.input if name and name not in known]


def readers_of(model: ModelProto) -> dict[str, list[NodeProto]]:
    """The nodes that read a tensor, also those that do so in a body of theirs."""
    found: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in graphs.reads(node):
            found.setdefault(name, []).append(node)
    return found


def _end(
    node: NodeProto,
    readers: Mapping[str, list[NodeProto]],
    finals: set[str],
    ranges: Mapping[str, Range],
) -> str:
    """The tensor on which a node's result is rounded: behind a clamp at zero, for rounding
    clamps as well where the range begins there."""
    name, after = node.output[0], readers.get(node.output[0], [])
    if len(after) != 1 or name in finals or after[0].op_type not in CLAMPS:
        return str(name)
    clamped = after[0].output[0]
    chosen = ranges.get(clamped)
    return str(clamped if chosen is not None and chosen[0] >= 0 else name)


def _moves(node: NodeProto, pairs: Mapping[str, str]) -> bool:
    return node.op_type in MOVERS and node.input[0] in pairs and len(node.output) == 1


def _leads(node: NodeProto, wanted: set[str], readers: Mapping[str, list[NodeProto]]) -> bool:
    """Whether what is moved reaches a node that takes it in int8."""
    name = node.output[0]
    onward = [reader for reader in readers.get(name, []) if reader.op_type in MOVERS]
    return name in wanted or any(_leads(reader, wanted, readers) for reader in onward)
