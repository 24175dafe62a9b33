"""How durations are distributed: a histogram with the percentiles marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from yardarm.report import bins, svg
from yardarm.report.charts import frame
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale, spread

_TOP = 62
"""Room above the bars for two rows of percentile names."""


def draw(
    key: str,
    samples: Sequence[float],
    percentiles: Mapping[str, float],
    unit: Unit,
    *,
    emulated: bool,
) -> Markup:
    """Args:
    samples: durations in microseconds, at least one.
    percentiles: name to microseconds; only those that enough samples support.
    """
    axis = spread(samples, frame.LEFT, frame.RIGHT)
    counts, edges = bins.histogram(samples, axis)
    tall = Scale(0, max(counts), frame.BOTTOM, _TOP)
    kind = ", logarithmic" if axis.log else ""
    return svg.picture(
        key,
        "Latency distribution",
        _said(samples, percentiles, unit),
        (frame.WIDTH, frame.HEIGHT),
        frame.vertical(tall, "samples", Unit("")),
        _bars(counts, edges, axis, tall),
        frame.horizontal(axis, f"latency, {unit.name}{kind}", unit),
        _percentiles(percentiles, axis),
        frame.mark(emulated),
        class_=frame.EMULATED if emulated else "",
    )


def _said(samples: Sequence[float], percentiles: Mapping[str, float], unit: Unit) -> str:
    marked = ", ".join(f"{name} {unit(value)}" for name, value in percentiles.items())
    span = unit.span(min(samples), max(samples))
    return f"{len(samples)} samples from {span}" + (f"; {marked}" if marked else "")


def _bars(counts: list[int], edges: list[float], axis: Scale, tall: Scale) -> Markup:
    bars = []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            x, y = axis(low), tall(count)
            width = max(axis(high) - x - 1, 0.5)
            bars.append(svg.rectangle(x, y, width, frame.BOTTOM - y, "bar"))
    return Markup("").join(bars)


def _percentiles(percentiles: Mapping[str, float], axis: Scale) -> Markup:
    """Lines with names, in as many rows (at most three) as keep neighbours apart."""
    parts = []
    ends = [-1e9, -1e9, -1e9]
    for name, value in sorted(percentiles.items(), key=lambda item: item[1]):
        x = axis(value)
        half = 4.0 * len(name) + 3
        middle = min(max(x, frame.LEFT + half), frame.RIGHT - half)
        row = next((n for n, end in enumerate(ends) if middle - half >= end), None)
        parts.append(svg.line((x, _TOP - 6), (x, frame.BOTTOM), "percentile"))
        if row is not None:
            ends[row] = middle + half
            parts.append(svg.text(middle, _TOP - 10 - 14 * row, name, "tick strong", "middle"))
    return Markup("").join(parts)
