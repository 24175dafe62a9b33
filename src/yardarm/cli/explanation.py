"""An explained bundle on one page of a terminal, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from yardarm.cli import console

if TYPE_CHECKING:
    from yardarm.compile.explaining.difference import Departure
    from yardarm.compile.explaining.explanation import Explanation, Operators
    from yardarm.compile.explaining.profiling import Cost, Island

DEPARTURES, COSTS, ISLANDS = 12, 10, 4
NAME = 24
UNTIMED = (
    "No operator is timed: TensorRT runs on the device alone. onnxruntime on a CPU computes "
    "float16 in float32, so that what int8 changes is seen above, and little of float16."
)


def page(explanation: Explanation, manifest: Mapping[str, Any]) -> str:
    """About fifty lines of at most 80 columns."""
    operators = explanation.operators
    costs = operators.profile.costs if operators else ()
    forms = {name: cost.runs for cost in costs for name in cost.nodes}
    forms |= {node["name"]: node["precision"] for node in manifest["nodes"]}
    timed = _operators(operators) if operators else _wrapped(UNTIMED)
    return "\n".join([*_departures(explanation, forms), "", *timed]) + "\n"


def _departures(explanation: Explanation, forms: Mapping[str, str]) -> Iterator[str]:
    found = explanation.difference
    yield f"difference from fp32, layer by layer over {found.samples} samples, worst first"
    headings = ["node", "operator", "in", "SNR", "inputs'", "cosine"]
    rows = [_departure(node, forms) for node in found.nodes[:DEPARTURES]]
    yield console.table(headings, rows).rstrip()
    rest = found.nodes[DEPARTURES:]
    if rest:
        best = max((node.snr_db for node in rest if node.snr_db is not None), default=None)
        reach = "exact" if best is None else f"up to {best:.0f} dB"
        yield f"… and {len(rest)} more, {reach}"


def _departure(node: Departure, forms: Mapping[str, str]) -> list[str]:
    return [
        _short(node.node),
        _short(node.op, 16),
        forms.get(node.node, ""),
        _decibels(node.snr_db) if node.finite else "NaN",
        _decibels(node.inputs_db),
        "" if node.cosine is None else f"{node.cosine:.5f}",
    ]


def _decibels(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f} dB"


def _operators(operators: Operators) -> Iterator[str]:
    yield from _wrapped(operators.verdict)
    before, after = operators.fp32_us / 1e3, operators.written_us / 1e3
    times = f"{before:.2f} ms in fp32, {after:.2f} ms as written"
    yield from _wrapped(f"{times} ({operators.where})")
    yield ""
    headings = ["nodes", "operators", "in", "fp32 µs", "now µs", "converting"]
    costs = [cost for cost in operators.profile.costs if cost.extra_us > 0]
    yield "what costs more than in fp32, dearest first"
    yield console.table(headings, [_cost(cost) for cost in costs[:COSTS]]).rstrip()
    if len(costs) > COSTS:
        yield f"… and {len(costs) - COSTS} more"
    yield ""
    yield from _islands(operators.profile.islands)


def _cost(cost: Cost) -> list[str]:
    return [
        _span(cost.nodes),
        _short(" + ".join(cost.ops), 18),
        cost.runs,
        f"{cost.fp32_us:.0f}",
        f"{cost.written_us:.0f}",
        f"{cost.convert_us + cost.unpack_us:.0f}",
    ]


def _islands(islands: Sequence[Island]) -> Iterator[str]:
    if not islands:
        yield "no fp32 between int8"
        return
    count = "1 island" if len(islands) == 1 else f"{len(islands)} islands"
    yield f"fp32 between int8: {count}, what converts most first"
    rows = [
        [_span(i.nodes), str(len(i.nodes)), f"{i.compute_us:.0f}", f"{i.convert_us:.0f}"]
        for i in islands[:ISLANDS]
    ]
    yield console.table(["from … to", "nodes", "own µs", "converting µs"], rows).rstrip()


def _span(names: Sequence[str]) -> str:
    if len(names) == 1:
        return _short(names[0])
    half = NAME // 2 - 1
    return f"{_short(names[0], half)} … {_short(names[-1], half)}"


def _short(name: str, most: int = NAME) -> str:
    """The end of a long name: exporters put the module path at the beginning."""
    return name if len(name) <= most else "…" + name[1 - most :]


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 80)
