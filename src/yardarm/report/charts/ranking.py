"""Bars under one another, longest first: what matters most, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.charts.frame import RIGHT, WIDTH
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale

_LEFT, _FIRST, _STEP, _BAR = 12, 6, 31, 7
LONGEST = 46
"""Characters of a name that stand beside a value."""


@dataclass(frozen=True)
class Bar:
    """`name` is drawn above the bar, `value` decides its length, from zero on."""

    name: str
    value: float


def draw(key: str, title: str, bars: Sequence[Bar], unit: Unit) -> Markup:
    """At least one bar; negative values have none."""
    top = max([bar.value for bar in bars] + [0.0]) or 1.0
    axis = Scale(0.0, top, _LEFT, RIGHT)
    said = "; ".join(f"{bar.name} {unit(bar.value)}" for bar in bars[:5])
    return svg.picture(
        key,
        title,
        f"{len(bars)} in descending order: {said}" + ("; …" if len(bars) > 5 else ""),
        (WIDTH, _FIRST + _STEP * len(bars) + 6),
        *(_row(bar, _FIRST + _STEP * n, axis, unit) for n, bar in enumerate(bars)),
    )


def _row(bar: Bar, top: float, axis: Scale, unit: Unit) -> Markup:
    width = max(axis(max(bar.value, 0.0)) - _LEFT, 1.0)
    return svg.element(
        "g",
        svg.text(_LEFT, top + 13, shortened(bar.name), "name"),
        svg.text(RIGHT, top + 13, unit(bar.value), "value", "end"),
        svg.rectangle(_LEFT, top + 18, width, _BAR, "bar"),
    )


def shortened(name: str, most: int = LONGEST) -> str:
    """The end of a long name: exporters put the module's path at the beginning."""
    return name if len(name) <= most else "…" + name[1 - most :]
