"""Durations over the run: what shows throttling, pauses and warm-up."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from yardarm.report import bins, svg
from yardarm.report.charts import frame
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale, linear, spread

_SECONDS = Unit("s")
_COUNT = Unit("")


def draw(
    key: str,
    starts: Sequence[float] | None,
    samples: Sequence[float],
    unit: Unit,
    *,
    emulated: bool,
) -> Markup:
    """Args:
    starts: seconds since the run began, one a sample; None where they are not known.
    samples: durations in microseconds, at least one.
    """
    places = [float(n) for n in range(len(samples))] if starts is None else starts
    along = linear(places, frame.LEFT, frame.RIGHT, zero=True)
    tall = spread(samples, frame.BOTTOM, frame.TOP)
    named = f"latency, {unit.name}" + (", logarithmic" if tall.log else "")
    return svg.picture(
        key,
        "Latency over the run",
        f"{len(samples)} samples from {unit.span(min(samples), max(samples))}, in order",
        (frame.WIDTH, frame.HEIGHT),
        frame.vertical(tall, named, unit),
        _marks(places, samples, along, tall),
        frame.horizontal(along, *(("sample", _COUNT) if starts is None else _TIME)),
        frame.mark(emulated),
        class_=frame.EMULATED if emulated else "",
    )


_TIME = ("seconds since the start", _SECONDS)


def _marks(places: Sequence[float], samples: Sequence[float], along: Scale, tall: Scale) -> Markup:
    """Every sample where they are few; else the range and median of neighbours."""
    if len(samples) <= bins.MOST_POINTS:
        pairs = zip(places, samples, strict=True)
        return svg.dots(((along(x), tall(y)) for x, y in pairs), "sample")
    grouped = bins.buckets(places, samples)
    upper = [(along(b.place), tall(b.high)) for b in grouped]
    lower = [(along(b.place), tall(b.low)) for b in grouped]
    middle = [(along(b.place), tall(b.middle)) for b in grouped]
    return svg.area(upper, lower, "range") + svg.path([middle], "trend")
