"""What int8 costs and what it gives, node by node: the times of the original and of the
written model laid over each other.

Everything here is a pure function of kernels and graphs, wherever they were timed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from onnx import ModelProto

from yardarm.compile.explaining.attribution import Graph, Node, add_fused, attribute, nodes_of
from yardarm.compile.explaining.conversions import (
    CONVERT,
    Conversion,
    Forms,
    conversions,
    islands,
    kernel_forms,
)
from yardarm.compile.explaining.kernels import Kernel


@dataclass(frozen=True)
class Cost:
    """Nodes that a kernel of either side took together; times in microseconds.

    Attributes:
        nodes, ops: of the original, in its order.
        runs: `int8` or `fp32`: in what the written model computes them.
        fp32_us: in the original.
        compute_us: in the written model, without the next two.
        convert_us: QuantizeLinear and DequantizeLinear of activations that these nodes need.
        unpack_us: DequantizeLinear of their weights.
    """

    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    runs: str
    fp32_us: float
    compute_us: float
    convert_us: float
    unpack_us: float

    @property
    def written_us(self) -> float:
        return self.compute_us + self.convert_us + self.unpack_us

    @property
    def extra_us(self) -> float:
        return self.written_us - self.fp32_us


@dataclass(frozen=True)
class Island:
    """Nodes in fp32 between int8; `convert_us` is what getting there and back takes."""

    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    compute_us: float
    convert_us: float


@dataclass(frozen=True)
class Side:
    """A model with its kernels, in the order in which they run."""

    model: ModelProto
    kernels: Sequence[Kernel]


@dataclass(frozen=True)
class Profile:
    """The written model against its original: what costs most more, converts most, is first."""

    costs: tuple[Cost, ...]
    islands: tuple[Island, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "nodes": [
                asdict(cost) | {"written_us": cost.written_us, "extra_us": cost.extra_us}
                for cost in self.costs
            ],
            "islands": [asdict(island) for island in self.islands],
        }


def profile(original: Side, written: Side, names: Mapping[str, Any] | None = None) -> Profile:
    """Lay the times over each other.

    Args:
        names: `names` of the manifest: the written model's short names to the original's.
    """
    nodes = nodes_of(original.model)
    running, forms = Graph.of(written.kernels), kernel_forms(written.kernels)
    before = {name: set(held) for name, held in attribute(original.kernels, nodes).items()}
    after = _originals(written, nodes, forms, names or {})
    groups = joined([node.name for node in nodes], [*before.values(), *after.values()])
    ledger = _Ledger(nodes, groups)
    for kernel in original.kernels:
        ledger.book(before[kernel.name], "fp32_us", kernel.us)
    changes = conversions(running, forms)
    for kernel in written.kernels:
        _book(ledger, kernel, forms, after, changes.get(kernel.name))
    found = [
        _island(region.kernels, region.border, after, nodes) for region in islands(running, forms)
    ]
    return Profile(
        tuple(sorted(ledger.costs(), key=lambda cost: (-cost.extra_us, cost.nodes))),
        tuple(sorted(found, key=lambda island: (-island.convert_us, island.nodes))),
    )


Held = Mapping[str, set[str]]


def _originals(
    written: Side, nodes: Sequence[Node], forms: Forms, names: Mapping[str, Any]
) -> dict[str, set[str]]:
    """For each kernel of the written model the original's nodes that it stands for; none
    where it converts."""
    mine = nodes_of(written.model)
    known = _translated(mine, nodes, names)
    held: dict[str, set[str]] = {
        kernel: set().union(*(known[name] for name in stands if forms[kernel] != "convert"))
        for kernel, stands in attribute(written.kernels, mine).items()
    }
    add_fused(held, Graph.of(nodes))
    return held


def _translated(
    mine: Sequence[Node], nodes: Sequence[Node], names: Mapping[str, Any]
) -> dict[str, set[str]]:
    """For each of the written model's nodes the original's that it stands for: the one of its
    name and the one whose output it makes (a Conv that took a Relu with it is both); for the
    parts of what was one node, those that they lead to."""
    theirs, graph = Graph.of(nodes), Graph.of(mine)
    called = {node.name for node in nodes}
    short, tensors = names.get("nodes", {}), names.get("tensors", {})
    known: dict[str, set[str]] = {}
    for node in reversed(mine):
        made = [tensors.get(name, name) for name in node.outputs]
        makers = {theirs.producer[name].name for name in made if name in theirs.producer}
        found = {short.get(node.name, node.name)} & called | makers
        after = (known[other.name] for other in graph.after(node) if known[other.name])
        known[node.name] = set() if node.op in CONVERT else found or next(after, set())
    return known


def joined(names: Sequence[str], sets: Sequence[set[str]]) -> dict[str, str]:
    """Each name with the first one, in order, of those that the sets connect with it."""
    order = {name: place for place, name in enumerate(names)}
    above = {name: name for name in names}

    def root(name: str) -> str:
        while above[name] != name:
            name = above[name]
        return name

    for held in sets:
        first, *others = sorted({root(name) for name in held}, key=order.__getitem__) or [""]
        above |= dict.fromkeys(others, first)
    return {name: root(name) for name in names}


class _Ledger:
    """Microseconds by group of nodes and kind of time."""

    def __init__(self, nodes: Sequence[Node], groups: Mapping[str, str]) -> None:
        self._nodes = nodes
        self._groups = groups
        self._sums: dict[tuple[str, str], float] = {}

    def book(self, held: set[str], kind: str, us: float) -> None:
        """All nodes of one kernel are in one group."""
        for name in sorted(held)[:1]:
            key = self._groups[name], kind
            self._sums[key] = self._sums.get(key, 0.0) + us

    def costs(self) -> Iterator[Cost]:
        members: dict[str, list[Node]] = {}
        for node in self._nodes:
            members.setdefault(self._groups[node.name], []).append(node)
        for group, nodes in members.items():
            of = {kind: self._sums.get((group, kind), 0.0) for kind in KINDS}
            yield Cost(
                nodes=tuple(node.name for node in nodes),
                ops=tuple(node.op for node in nodes),
                runs="int8" if of["int8"] > of["fp32"] else "fp32",
                fp32_us=of["fp32_us"],
                compute_us=of["int8"] + of["fp32"],
                convert_us=of["convert"],
                unpack_us=of["unpack"],
            )


KINDS = ("fp32_us", "int8", "fp32", "convert", "unpack")


def _book(
    ledger: _Ledger, kernel: Kernel, forms: Forms, held: Held, change: Conversion | None
) -> None:
    if change is None:
        ledger.book(held[kernel.name], forms[kernel.name], kernel.us)
    elif change.owner is not None:
        kind = "unpack" if change.weights else "convert"
        ledger.book(held[change.owner], kind, kernel.us)


def _island(
    inside: Sequence[Kernel], border: Sequence[Kernel], held: Held, nodes: Sequence[Node]
) -> Island:
    names = {name for kernel in inside for name in held[kernel.name]}
    chosen = [node for node in nodes if node.name in names]
    return Island(
        nodes=tuple(node.name for node in chosen),
        ops=tuple(node.op for node in chosen),
        compute_us=sum(kernel.us for kernel in inside),
        convert_us=sum(kernel.us for kernel in border),
    )
