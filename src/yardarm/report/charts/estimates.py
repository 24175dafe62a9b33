"""Estimates with their intervals: a dot for the value, whiskers for 95 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.charts.frame import RIGHT, WIDTH, horizontal
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale, linear

_LEFT, _FIRST, _STEP = 14, 20, 52


@dataclass(frozen=True)
class Row:
    """One estimate: `tone` colours it ("quiet" for the reference)."""

    label: str
    value: float
    low: float
    high: float
    tone: str = ""


def draw(key: str, metric: str, rows: Sequence[Row], unit: Unit) -> Markup:
    """The rows under one another over a common axis that shows their differences."""
    bottom = _FIRST + _STEP * len(rows) + 4
    axis = _axis(rows, unit)
    drawn = [_row(row, _FIRST + _STEP * n, axis, unit) for n, row in enumerate(rows)]
    said = "; ".join(f"{r.label} {unit(r.value)}, {unit.span(r.low, r.high)}" for r in rows)
    return svg.picture(
        key,
        f"{metric} with 95 % intervals",
        f"{said}. The axis does not begin at zero.",
        (WIDTH, bottom + 46),
        *(svg.line((axis(t), 10), (axis(t), bottom), "grid") for t in axis.ticks()),
        horizontal(axis, f"{metric}, {unit.name}" if unit.name else metric, unit, bottom),
        *drawn,
    )


def _axis(rows: Sequence[Row], unit: Unit) -> Scale:
    ends = [end for row in rows for end in (row.low, row.value, row.high)]
    share = unit.name == "%" and all(0 <= end <= 1 for end in ends)
    if share and max(ends) - min(ends) < 0.01:
        ends += [min(ends) - 0.01, max(ends) + 0.01]
    axis = linear(ends, _LEFT, RIGHT - 8, margin=0.08)
    if not share:
        return axis
    return Scale(max(axis.low, 0.0), min(axis.high, 1.0), axis.start, axis.end)


def _row(row: Row, top: float, axis: Scale, unit: Unit) -> Markup:
    y = top + 30
    low, high = axis(row.low), axis(row.high)
    return svg.element(
        "g",
        svg.text(_LEFT, top + 12, row.label, "name"),
        svg.text(RIGHT - 8, top + 12, unit(row.value), "value", "end"),
        svg.line((low, y), (high, y), "whisker"),
        svg.line((low, y - 6), (low, y + 6), "whisker"),
        svg.line((high, y - 6), (high, y + 6), "whisker"),
        svg.element("circle", cx=axis(row.value), cy=y, r=5.5, class_="dot"),
        class_=f"row {row.tone}".strip(),
    )
