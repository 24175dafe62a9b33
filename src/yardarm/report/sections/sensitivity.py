"""Which nodes int8 hurts most, each quantized alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import ranking
from yardarm.report.page import Picture, Section, table, tables

SHOWN = 20


@dataclass(frozen=True)
class Node:
    """A node in one of the forms that it could take, while all others stay as they are.

    `error`: mean squared error of the outputs by their mean square; `drop`: of the metric.
    """

    name: str
    op: str
    form: str
    error: float
    drop: float | None

    @property
    def told(self) -> str:
        return f"{self.name} ({self.op}, {self.form})" if self.form else f"{self.name} ({self.op})"


def section(manifest: Mapping[str, Any]) -> Section:
    nodes = _nodes(manifest)
    if not nodes:
        return Section("sensitivity", "Sensitivity")
    metric = reading.text(reading.at(manifest, "accuracy", "metric"))
    title = "Error of the outputs when only this node is quantized"
    bars = [ranking.Bar(node.told, node.error) for node in nodes[:SHOWN]]
    drawing = ranking.draw("sensitivity-ranking", title, bars, figures.Unit("%", 100))
    return Section(
        "sensitivity",
        "Sensitivity",
        notes=_notes(nodes),
        pictures=(Picture(drawing, title, "As a share of the outputs' own power."),),
        tables=tables(_table(nodes, metric)),
    )


def _nodes(manifest: Mapping[str, Any]) -> list[Node]:
    found = [
        Node(
            reading.text(body.get("node")),
            reading.text(body.get("op")),
            reading.text(body.get("form")),
            error,
            reading.number(body.get("drop")),
        )
        for body in reading.mappings(manifest.get("sensitivity"))
        if (error := reading.number(body.get("error"))) is not None
    ]
    return sorted(found, key=lambda node: (-node.error, node.name))


def _notes(nodes: list[Node]) -> tuple[str, ...]:
    whole = sum(node.error for node in nodes)
    rest = nodes[SHOWN:]
    if not rest or not whole:
        return ()
    percent = figures.Unit("%", 100)
    share = figures.Unit("%", 100, 0)(sum(node.error for node in rest) / whole)
    return (
        f"Each node by itself, in each form that it could take. The {SHOWN} that cost most are "
        f"drawn; the other {len(rest)} bring {share} of all error together, and none of them more "
        f"than {percent(rest[0].error)}.",
    )


def _table(nodes: list[Node], metric: str) -> Any:
    _, difference = figures.score(metric)
    dropped = any(node.drop is not None for node in nodes)
    headings = ("node", "operator", "form", "error", *(["drop"] if dropped else []))
    percent = figures.Unit("%", 100)
    rows = [
        [n.name, n.op, n.form, percent(n.error), *([difference(n.drop)] if dropped else [])]
        for n in nodes
    ]
    caption = f"All by sensitivity ({len(rows)})"
    return table(caption, headings, rows, figures=(3, 4), folded=True)
