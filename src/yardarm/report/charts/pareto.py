"""Candidates by what they cost and what they lose, the best of both joined by a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.charts import frame
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale, linear


@dataclass(frozen=True)
class Point:
    """A candidate: `cost` to the right, `drop` upwards with its 95 % interval.

    Attributes:
        number: its row in the table beside the picture.
        pareto: no other one is both cheaper and better.
    """

    number: int
    cost: float
    drop: float
    low: float
    high: float
    pareto: bool
    chosen: bool


@dataclass(frozen=True)
class Axes:
    """What is drawn: `cost` under the picture, `drop` beside it, `limit` the budget's line."""

    cost: str
    cost_unit: Unit
    drop: str
    drop_unit: Unit
    limit: float | None = None


def draw(key: str, title: str, points: Sequence[Point], axes: Axes) -> Markup:
    """At least one point."""
    limits = [axes.limit] if axes.limit is not None else []
    along = linear([p.cost for p in points], frame.LEFT + 14, frame.RIGHT - 14, margin=0.06)
    heights = [end for p in points for end in (p.low, p.drop, p.high)]
    tall = linear([*heights, *limits, 0.0], frame.BOTTOM, frame.TOP, margin=0.06)
    chosen = [p for p in points if p.chosen]
    said = f"{len(points)} candidates; " + "; ".join(
        f"chosen is {p.number}: {axes.cost_unit(p.cost)}, drop {axes.drop_unit(p.drop)}"
        for p in chosen
    )
    return svg.picture(
        key,
        title,
        said.strip("; "),
        (frame.WIDTH, frame.HEIGHT),
        frame.vertical(tall, axes.drop, axes.drop_unit),
        frame.horizontal(along, axes.cost, axes.cost_unit),
        *(_limit(limit, tall) for limit in limits),
        _front(points, along, tall),
        *(_candidate(p, along, tall) for p in sorted(points, key=lambda p: p.chosen)),
    )


def _limit(limit: float, tall: Scale) -> Markup:
    y = tall(limit)
    return svg.element(
        "g",
        svg.line((frame.LEFT, y), (frame.RIGHT, y), "limit"),
        svg.text(frame.LEFT + 2, y - 4, "budget", "tick"),
    )


def _front(points: Sequence[Point], along: Scale, tall: Scale) -> Markup:
    best = sorted((p for p in points if p.pareto), key=lambda p: (p.cost, p.drop))
    return svg.path([[(along(p.cost), tall(p.drop)) for p in best]], "front")


def _candidate(point: Point, along: Scale, tall: Scale) -> Markup:
    x, y = along(point.cost), tall(point.drop)
    tone = "chosen" if point.chosen else "" if point.pareto else "quiet"
    return svg.element(
        "g",
        svg.line((x, tall(point.low)), (x, tall(point.high)), "whisker"),
        svg.element("circle", cx=x, cy=y, r=7 if point.chosen else 4.5, class_="dot"),
        svg.text(x + 9, y - 5, str(point.number), "tick strong" if point.chosen else "tick"),
        class_=f"row {tone}".strip(),
    )
