"""Where the result departs from fp32, node by node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import course
from yardarm.report.page import Picture, Section, Table, table, tables

SHOWN = 15
_DECIBELS = figures.Unit("dB", 1, 1)


def section(explanation: Mapping[str, Any]) -> Section:
    found = reading.mapping(explanation.get("difference"))
    nodes = list(reading.mappings(found.get("nodes")))
    if not nodes:
        return Section("difference", "Difference from fp32")
    samples = figures.whole(reading.number(found.get("samples")))
    return Section(
        "difference",
        "Difference from fp32",
        notes=(
            f"Every node's output over {samples} samples, as the next node gets to see it, worst "
            "first. What a node adds by itself is the step from its inputs' ratio to its own.",
            *_missing(found),
        ),
        pictures=_picture(nodes),
        tables=tables(
            _table(f"The {min(SHOWN, len(nodes))} nodes that differ most", nodes[:SHOWN]),
            _table(f"All nodes ({len(nodes)})", nodes, folded=True),
        )[: 1 if len(nodes) <= SHOWN else 2],
    )


def _picture(nodes: list[Mapping[str, Any]]) -> tuple[Picture, ...]:
    """`nodes` come worst first: those of the table stand out."""
    placed = [
        (place, ratio)
        for node in nodes
        if (place := reading.number(node.get("place"))) is not None
        and (ratio := reading.number(node.get("snr_db"))) is not None
    ]
    if len(placed) < 2:
        return ()
    title = "Signal to error along the model"
    drawing = course.draw("difference-course", title, placed, SHOWN)
    shown = min(SHOWN, len(placed))
    note = f"One dot a node, the {shown} that differ most are larger. Lower is worse."
    return (Picture(drawing, title, note),)


def _missing(found: Mapping[str, Any]) -> tuple[str, ...]:
    count = len(reading.sequence(found.get("missing")))
    if not count:
        return ()
    others = "1 node went into another" if count == 1 else f"{count} nodes went into others"
    return (f"{others} in the result, without an output of its own to compare.",)


def _table(caption: str, nodes: list[Mapping[str, Any]], *, folded: bool = False) -> Table:
    rows = [
        [
            reading.text(node.get("node")),
            reading.text(node.get("op")),
            _ratio(node, "snr_db") if node.get("finite") is not False else "not finite",
            _ratio(node, "inputs_db"),
            figures.fixed(reading.number(node.get("cosine")), 5),
        ]
        for node in nodes
    ]
    headings = ("node", "operator", "signal to error", "its inputs'", "cosine")
    return table(caption, headings, rows, figures=(2, 3, 4), folded=folded)


def _ratio(node: Mapping[str, Any], key: str) -> str:
    value = reading.number(node.get(key))
    return "exact" if value is None else _DECIBELS(value)
