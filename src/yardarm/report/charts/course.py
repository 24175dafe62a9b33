"""A ratio at every node of a model, in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.charts import frame
from yardarm.report.figures import Unit
from yardarm.report.scales import linear

_DECIBELS, _COUNT = Unit("dB"), Unit("")


def draw(key: str, title: str, points: Sequence[tuple[float, float]], worst: int) -> Markup:
    """Args:
    points: place and decibels, worst first, at least one.
    worst: so many of them stand out.
    """
    along = linear([place for place, _ in points], frame.LEFT + 6, frame.RIGHT, zero=True)
    ratios = [ratio for _, ratio in points]
    tall = linear(ratios, frame.BOTTOM, frame.TOP, zero=True, margin=0.04)
    drawn = [(along(place), tall(ratio)) for place, ratio in points]
    return svg.picture(
        key,
        title,
        f"{len(points)} nodes from {_DECIBELS.span(min(ratios), max(ratios))}",
        (frame.WIDTH, frame.HEIGHT),
        frame.vertical(tall, "signal to error, dB", _DECIBELS),
        frame.horizontal(along, "node, in the order of the model", _COUNT),
        svg.dots(drawn[worst:], "good"),
        svg.dots(drawn[:worst], "bad"),
    )
