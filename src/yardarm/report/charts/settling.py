"""How far ranges still move as samples are added: the worst, and the one in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.charts import frame
from yardarm.report.figures import PERCENT, Unit
from yardarm.report.scales import Scale, linear

_COUNT = Unit("", 1, 0)


@dataclass(frozen=True)
class Stage:
    """After so many samples: shares of a range's width that it is still off."""

    samples: float
    worst: float
    middle: float


def draw(key: str, title: str, stages: Sequence[Stage], tolerance: float | None) -> Markup:
    """At least two stages, few samples first."""
    limits = [tolerance] if tolerance is not None else []
    along = linear([stage.samples for stage in stages], frame.LEFT, frame.RIGHT - 8, zero=True)
    heights = [stage.worst for stage in stages]
    tall = linear([*heights, *limits], frame.BOTTOM, frame.TOP, zero=True, margin=0.06)
    said = "; ".join(f"{PERCENT(s.worst)} after {_COUNT(s.samples)}" for s in stages)
    return svg.picture(
        key,
        title,
        f"The range that moves most is off by {said}",
        (frame.WIDTH, frame.HEIGHT),
        frame.vertical(tall, "off by, % of the range", PERCENT),
        frame.horizontal(along, "samples", _COUNT),
        *(_limit(limit, tall) for limit in limits),
        *(_line(stages, kind, along, tall) for kind in ("worst", "middle")),
    )


def _limit(limit: float, tall: Scale) -> Markup:
    y = tall(limit)
    return svg.element(
        "g",
        svg.line((frame.LEFT, y), (frame.RIGHT, y), "limit"),
        svg.text(frame.RIGHT, y - 4, "settled below", "tick", "end"),
    )


def _line(stages: Sequence[Stage], kind: str, along: Scale, tall: Scale) -> Markup:
    points = [(along(stage.samples), tall(getattr(stage, kind))) for stage in stages]
    tone = "tone1" if kind == "worst" else "tone0"
    return svg.element(
        "g",
        svg.path([points], f"line {tone}"),
        *(svg.element("circle", cx=x, cy=y, r=3.5, class_=f"part {tone}") for x, y in points),
    )
