"""Before and after, one row a group: how far each moved, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.charts.frame import RIGHT, WIDTH, horizontal
from yardarm.report.charts.ranking import shortened
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale, linear

_LEFT, _FIRST, _STEP = 14, 12, 34


@dataclass(frozen=True)
class Pair:
    """A group: `low` and `high` are the interval of `after`."""

    name: str
    before: float
    after: float
    low: float
    high: float


def draw(key: str, metric: str, pairs: Sequence[Pair], unit: Unit) -> Markup:
    """The rows in the order given, over a common axis that shows their differences."""
    bottom = _FIRST + _STEP * len(pairs) + 4
    ends = [end for p in pairs for end in (p.before, p.after, p.low, p.high)]
    axis = linear(ends, _LEFT, RIGHT - 8, margin=0.06)
    said = "; ".join(f"{p.name} {unit(p.before)} to {unit(p.after)}" for p in pairs[:5])
    return svg.picture(
        key,
        f"{metric} by group, before and after",
        f"{said}{'; …' if len(pairs) > 5 else ''}. The axis does not begin at zero.",
        (WIDTH, bottom + 46),
        *(svg.line((axis(t), 6), (axis(t), bottom), "grid") for t in axis.ticks()),
        horizontal(axis, f"{metric}, {unit.name}" if unit.name else metric, unit, bottom),
        *(_row(pair, _FIRST + _STEP * n, axis, unit) for n, pair in enumerate(pairs)),
    )


def _row(pair: Pair, top: float, axis: Scale, unit: Unit) -> Markup:
    y = top + 22
    return svg.element(
        "g",
        svg.text(_LEFT, top + 12, shortened(pair.name, 34), "name"),
        svg.text(RIGHT - 8, top + 12, unit(pair.after), "value", "end"),
        svg.line((axis(pair.low), y), (axis(pair.high), y), "whisker"),
        svg.element("circle", cx=axis(pair.before), cy=y, r=5, class_="hollow"),
        svg.element("circle", cx=axis(pair.after), cy=y, r=4.5, class_="dot"),
        class_="row",
    )
