"""A model as the rules read it: nodes of all its graphs, with types, shapes and constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, inliner, numpy_helper

from yardarm.compile.normalising import graphs, shapes
from yardarm.compile.readiness.tables import Table
from yardarm.compile.sources import importing

Shape = tuple[int | None, ...]
Shapes = Mapping[str, Mapping[str, list[int]]]
"""For each dynamic input its optimisation profile: "min", "opt" and "max"."""


@dataclass(frozen=True)
class Target:
    """What a model is read for.

    Attributes:
        tensorrt: major and minor version.
        opset_max: the highest operator set that is parsed.
        sm: compute capability of the GPU without its dot.
        dla: DLA cores.
        profiles: optimisation profiles; None where they are not chosen yet.
        imported: the model is still to be compiled, which changes its operator set.
    """

    tensorrt: tuple[int, int]
    table: Table
    opset_max: int
    sm: int
    dla: int
    profiles: Shapes | None
    imported: bool

    @property
    def version(self) -> str:
        return ".".join(map(str, self.tensorrt))


@dataclass(eq=False)
class Scope:
    """What is known of the tensors that one graph and those around it name."""

    outer: Scope | None
    types: dict[str, tuple[int, Shape | None]] = field(default_factory=dict)
    tensors: dict[str, TensorProto] = field(default_factory=dict)
    makers: dict[str, Node] = field(default_factory=dict)
    readers: dict[str, list[Node]] = field(default_factory=dict)

    def type(self, name: str) -> tuple[int, Shape | None]:
        return self.types.get(name) or (self.outer.type(name) if self.outer else (0, None))

    def tensor(self, name: str) -> TensorProto | None:
        return self.tensors.get(name) or (self.outer.tensor(name) if self.outer else None)

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """The values of a constant; None also where its bytes don't make up its type and shape."""
        tensor = self.tensor(name)
        if tensor is None:
            return None
        try:
            return numpy_helper.to_array(tensor)
        except (KeyError, TypeError, ValueError):
            return None

    def maker(self, name: str) -> Node | None:
        return self.makers.get(name) or (self.outer.maker(name) if self.outer else None)


@dataclass(eq=False)
class Node:
    """A node where it stands."""

    proto: NodeProto
    scope: Scope

    @property
    def op(self) -> str:
        return str(self.proto.op_type)

    @property
    def name(self) -> str:
        made = next((name for name in self.proto.output if name), "")
        return self.proto.name or f"output {made}"

    @property
    def standard(self) -> bool:
        return self.proto.domain in graphs.STANDARD

    def input(self, place: int) -> str:
        return self.proto.input[place] if place < len(self.proto.input) else ""

    def output(self, place: int = 0) -> str:
        return self.proto.output[place] if place < len(self.proto.output) else ""

    def type(self, place: int) -> int:
        """The element type of an input, as onnx.TensorProto numbers it; 0: not known."""
        return self.scope.type(self.input(place))[0]

    def shape(self, place: int) -> Shape | None:
        return self.scope.type(self.input(place))[1]

    def tensor(self, place: int) -> TensorProto | None:
        """A constant input as it is stored."""
        return self.scope.tensor(self.input(place)) if self.input(place) else None

    def constant(self, place: int) -> NDArray[np.generic] | None:
        """The values of a constant input."""
        return self.scope.constant(self.input(place)) if self.input(place) else None

    def maker(self, place: int) -> Node | None:
        """The node that makes an input."""
        return self.scope.maker(self.input(place)) if self.input(place) else None

    def readers(self, place: int = 0) -> list[Node]:
        """The nodes of the same graph that read an output."""
        return self.scope.readers.get(self.output(place), [])

    def attribute(self, name: str, default: object = None) -> object:
        for held in self.proto.attribute:
            if held.name == name:
                value = helper.get_attribute_value(held)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def numbers(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        value = self.attribute(name, ())
        return tuple(value) if isinstance(value, (list, tuple)) else ()


@dataclass(frozen=True)
class Reading:
    """A model for a target; `nodes` in the graphs' order, inner ones after their holder."""

    model: ModelProto
    target: Target
    nodes: tuple[Node, ...]
    scopes: tuple[Scope, ...]

    def of(self, *ops: str) -> Iterator[Node]:
        return (node for node in self.nodes if node.standard and node.op in ops)

    @property
    def opset(self) -> int:
        return importing.opset(self.model)

    def inputs(self) -> dict[str, Shape | None]:
        """What has to be fed."""
        filled = {tensor.name for tensor in self.model.graph.initializer}
        names = [value.name for value in self.model.graph.input if value.name not in filled]
        return {name: self.scopes[0].type(name)[1] for name in names}


def read(model: ModelProto, target: Target) -> Reading:
    """Walk a model once; its own functions are written out first."""
    if model.functions:
        model = inliner.inline_local_functions(model)
    typed = shapes.inferred(model)
    nodes: list[Node] = []
    scopes: list[Scope] = []
    _enter(typed.graph, None, nodes, scopes)
    return Reading(typed, target, tuple(nodes), tuple(scopes))


def fixed(model: ModelProto, profiles: Shapes | None) -> ModelProto:
    """A model whose dynamic inputs have their usual sizes: those of their profiles, or a batch
    of 1."""
    changed = graphs.copied(model)
    for value in changed.graph.input:
        usual = (profiles or {}).get(value.name, {}).get("opt", [1])
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, usual, strict=False):
            if dim.dim_value <= 0:
                dim.dim_value = size
    for value in changed.graph.output:
        value.type.tensor_type.ClearField("shape")  # inferred anew
    return changed


def _enter(graph: GraphProto, outer: Scope | None, nodes: list[Node], scopes: list[Scope]) -> None:
    scope = Scope(outer)
    scopes.append(scope)
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.HasField("tensor_type"):
            scope.types[value.name] = _type(value.type.tensor_type)
    for tensor in graph.initializer:
        scope.tensors[tensor.name] = tensor
        scope.types[tensor.name] = tensor.data_type, tuple(tensor.dims)
    for proto in graph.node:
        node = Node(proto, scope)
        nodes.append(node)
        if proto.op_type == "Constant" and proto.output:
            for held in (entry.t for entry in proto.attribute if entry.name == "value"):
                scope.tensors[proto.output[0]] = held
                scope.types[proto.output[0]] = held.data_type, tuple(held.dims)
        scope.makers |= dict.fromkeys(proto.output, node)
        for name in proto.input:
            scope.readers.setdefault(name, []).append(node)
        for body in graphs.bodies(proto):
            _enter(body, scope, nodes, scopes)


def _type(held: object) -> tuple[int, Shape | None]:
    kind = held.elem_type  # type: ignore[attr-defined]
    if not held.HasField("shape"):  # type: ignore[attr-defined]
        return kind, None
    dims = held.shape.dim  # type: ignore[attr-defined]
    return kind, tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims)
