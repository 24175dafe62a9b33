"""Which nodes of the model run in which precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import share
from yardarm.report.page import Picture, Section, Table, table, tables

MOST_PRECISIONS = 6


def section(manifest: Mapping[str, Any]) -> Section:
    nodes = [
        (reading.text(n.get("op")), reading.text(n.get("precision")), reading.text(n.get("name")))
        for n in reading.mappings(manifest.get("nodes"))
    ]
    counts = Counter(precision for _, precision, _ in nodes)
    kinds = sorted(counts, key=lambda kind: (not in_int8(kind), kind))[:MOST_PRECISIONS]
    return Section(
        "precision",
        "Precision of the nodes",
        notes=(_said(counts, kinds),) if nodes else ("The bundle does not list its nodes.",),
        pictures=_picture(counts, kinds),
        tables=tables(_by_op(nodes, kinds), _kept(nodes)),
    )


def in_int8(precision: str) -> bool:
    """Whole, dynamic, or weights only."""
    return precision.split("-", maxsplit=1)[0] == "int8"


def _said(counts: Mapping[str, int], kinds: list[str]) -> str:
    whole = sum(counts.values())
    return ", ".join(f"{figures.whole(counts[kind])} {kind}" for kind in kinds) + (
        f" of {figures.whole(whole)} nodes."
    )


def _picture(counts: Mapping[str, int], kinds: list[str]) -> tuple[Picture, ...]:
    if not kinds:
        return ()
    title = "Nodes by precision"
    return (Picture(share.draw("nodes-share", title, {k: counts[k] for k in kinds}), title),)


def _by_op(nodes: list[tuple[str, str, str]], kinds: list[str]) -> Table:
    counts = Counter((op, precision) for op, precision, _ in nodes)
    totals = Counter(op for op, _, _ in nodes)
    rows = [
        [op, *(figures.whole(counts[op, kind]) for kind in kinds), figures.whole(total)]
        for op, total in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    ]
    headings = ("operator", *kinds, "all")
    return table("Nodes by operator", headings, rows, figures=range(1, len(headings)))


def _kept(nodes: list[tuple[str, str, str]]) -> Table:
    """Nodes outside int8 by name: for whoever wants to know what was left, and where."""
    rows = [[name or "(unnamed)", op, kind] for op, kind, name in nodes if not in_int8(kind)]
    headings = ("node", "operator", "precision")
    return table(f"Nodes not in int8 ({len(rows)})", headings, rows, folded=True)
