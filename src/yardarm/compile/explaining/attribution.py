"""Kernels brought back to the nodes that they stand for.

Fusing keeps the name of the last tensor, renaming keeps the node's or the tensor's name as a
beginning, and what only moves memory belongs to whoever needs it moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from onnx import ModelProto

from yardarm.compile.explaining.kernels import Kernel

DEPTH = 64
"""Steps that are followed along a graph in search of a node that is known."""

ABSORBED = frozenset({"Relu", "Clip", "QuantizeLinear"})
"""What the kernel of the node before does on the way, by the range of what it writes."""


class _Vertex(Protocol):
    """A node or a kernel."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def outputs(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Node:
    """A node of a model, as far as it matters here."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


V = TypeVar("V", bound=_Vertex)


@dataclass(frozen=True)
class Graph(Generic[V]):
    """Who makes and who takes a tensor."""

    vertices: Sequence[V]
    producer: Mapping[str, V] = field(default_factory=dict)
    consumers: Mapping[str, list[V]] = field(default_factory=dict)

    @staticmethod
    def of(vertices: Sequence[V]) -> Graph[V]:
        producer = {name: vertex for vertex in vertices for name in vertex.outputs if name}
        consumers: dict[str, list[V]] = {}
        for vertex in vertices:
            for name in vertex.inputs:
                consumers.setdefault(name, []).append(vertex)
        return Graph(vertices, producer, consumers)

    def after(self, vertex: V) -> Iterator[V]:
        for name in vertex.outputs:
            yield from self.consumers.get(name, ())

    def before(self, vertex: V) -> Iterator[V]:
        for name in vertex.inputs:
            if name in self.producer:
                yield self.producer[name]


def named(model: ModelProto, names: Mapping[str, str] | None = None) -> ModelProto:
    """A copy whose nodes have names of their own, the original's where `names` (short name to
    original) tells them: kernels are named after nodes as well as after tensors, and short
    names of both look alike."""
    whole = ModelProto()
    whole.CopyFrom(model)
    taken: set[str] = set()
    for place, node in enumerate(whole.graph.node):
        name = (names or {}).get(node.name, node.name)
        node.name = name if name and name not in taken else f"{name or node.op_type}:{place}"
        taken.add(node.name)
    return whole


def nodes_of(model: ModelProto) -> tuple[Node, ...]:
    return tuple(
        Node(node.name, node.op_type, tuple(node.input), tuple(node.output))
        for node in model.graph.node
    )


def attribute(kernels: Sequence[Kernel], nodes: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    """For each kernel the names of the nodes that it stands for, in the model's order.

    Several kernels may stand for one node. A kernel that only moves memory stands for the
    node whose input it prepares.
    """
    graph, running = Graph.of(nodes), Graph.of(kernels)
    held: dict[str, set[str]] = {k.name: _by_tensor(k, graph) for k in kernels}
    told = {name for names in held.values() for name in names}
    for kernel in kernels:
        held[kernel.name] |= {name for name in _by_name(kernel, graph) if name not in told}
    add_fused(held, graph)
    for kernel in kernels:
        held[kernel.name] = held[kernel.name] or _beside(kernel, running, held)
    order = {node.name: place for place, node in enumerate(nodes)}
    return {name: tuple(sorted(names, key=order.__getitem__)) for name, names in held.items()}


def _by_tensor(kernel: Kernel, graph: Graph[Node]) -> set[str]:
    return {graph.producer[name].name for name in kernel.outputs if name in graph.producer}


def _by_name(kernel: Kernel, graph: Graph[Node]) -> set[str]:
    """The maker of the tensor, or the node of a like operator, whose name the kernel's begins
    with: engines name what they fuse after either."""
    named = {node.name: node for node in graph.vertices}
    for name in _shortened(kernel.name):
        node = named.get(name)
        if node and (node.op in kernel.op or kernel.op in node.op):
            return {node.name}
        if name in graph.producer:
            return {graph.producer[name].name}
    return set()


def _shortened(name: str) -> Iterator[str]:
    """`a_nchwc_token_7`, `a_nchwc_token`, `a_nchwc`, `a`."""
    while name:
        yield name
        name = name[: max(name.rfind("_"), name.rfind("/"), 0)]


def add_fused(held: dict[str, set[str]], graph: Graph[Node]) -> None:
    """Add the nodes without a kernel of their own: to the one before where that has taken them
    over (`ABSORBED`), else to one after them, which is named by its last node."""
    home = {name: kernel for kernel, names in held.items() for name in names}

    def add(node: Node, beside: Iterator[Node]) -> None:
        into = next((home[other.name] for other in beside if other.name in home), None)
        if node.name not in home and into is not None:
            home[node.name] = into
            held[into].add(node.name)

    for node in graph.vertices:
        if node.op in ABSORBED:
            add(node, graph.before(node))
    for node in reversed(graph.vertices):
        add(node, graph.after(node))


def _beside(kernel: Kernel, running: Graph[Kernel], held: Mapping[str, set[str]]) -> set[str]:
    """The nodes of the first kernel after it that has some; else of one before it."""
    for step in (running.after, running.before):
        edge, seen = list(step(kernel)), {kernel.name}
        for _ in range(DEPTH):
            if not edge:
                break
            for other in edge:
                if held[other.name]:
                    return set(held[other.name])
            seen |= {other.name for other in edge}
            edge = [
                further for other in edge for further in step(other) if further.name not in seen
            ]
    return set()
