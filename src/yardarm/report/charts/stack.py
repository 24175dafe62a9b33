"""Totals made of parts, one bar each over a common axis from zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.charts import frame
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale, linear

_LEFT, _FIRST, _STEP, _BAR = 12, 8, 52, 22


@dataclass(frozen=True)
class Total:
    """A bar; the parts' values add up to it. The part's place decides its colour."""

    name: str
    parts: Mapping[str, float]

    @property
    def whole(self) -> float:
        return sum(self.parts.values())


def draw(key: str, title: str, totals: Sequence[Total], unit: Unit, *, mark: str = "") -> Markup:
    """`mark`: a warning that stays with the picture when it is cut out."""
    bottom = _FIRST + _STEP * len(totals)
    axis = linear([total.whole for total in totals], _LEFT, frame.RIGHT, zero=True)
    said = "; ".join(
        f"{total.name} {unit(total.whole)}: "
        + ", ".join(f"{part} {unit(value)}" for part, value in total.parts.items() if value)
        for total in totals
    )
    return svg.picture(
        key,
        title,
        said,
        (frame.WIDTH, bottom + 46),
        frame.horizontal(axis, unit.name, unit, bottom),
        *(_bar(total, _FIRST + _STEP * n, axis, unit) for n, total in enumerate(totals)),
        svg.text(frame.RIGHT, bottom + 36, mark.upper(), "mark", "end") if mark else Markup(""),
        class_=frame.EMULATED if mark else "",
    )


def _bar(total: Total, top: float, axis: Scale, unit: Unit) -> Markup:
    drawn, begin = [], 0.0
    for tone, value in enumerate(total.parts.values()):
        width = axis(begin + value) - axis(begin)
        if value > 0:
            drawn.append(
                svg.rectangle(axis(begin), top + 18, max(width, 0.5), _BAR, f"part tone{tone}")
            )
        begin += value
    return svg.element(
        "g",
        svg.text(_LEFT, top + 12, total.name, "name"),
        svg.text(frame.RIGHT, top + 12, unit(total.whole), "value", "end"),
        *drawn,
    )
