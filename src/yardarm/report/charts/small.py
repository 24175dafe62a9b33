"""Small multiples: one reading of the device over the run, drawn small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from yardarm.report import bins, svg
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale, linear
from yardarm.report.svg import Point

WIDTH, HEIGHT = 280, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 270, 12, 94
TONES = 4
"""So many lines are told apart by colour; further ones share the last tone."""


@dataclass(frozen=True)
class Line:
    """One reading: seconds and values; None where the collector had no answer."""

    name: str
    points: Sequence[tuple[float, float | None]]


def draw(key: str, title: str, lines: Sequence[Line], unit: Unit, length: float) -> Markup:
    """All lines over a common time axis of `length` seconds."""
    values = [value for line in lines for _, value in line.points if value is not None]
    along = linear([0.0, length], _LEFT, _RIGHT)
    tall = _tall(values)
    return svg.picture(
        key,
        title,
        f"from {unit.span(min(values), max(values))} over {length:.0f} seconds",
        (WIDTH, HEIGHT),
        _grid(tall, unit),
        *(_line(line, min(n, TONES - 1), along, tall) for n, line in enumerate(lines)),
        svg.line((_LEFT, _BOTTOM), (_RIGHT, _BOTTOM), "axis"),
        svg.text(_LEFT, _BOTTOM + 18, "0", "tick", "middle"),
        svg.text(_RIGHT, _BOTTOM + 18, f"{length:.0f} s", "tick", "end"),
        class_="small",
    )


def _tall(values: Sequence[float]) -> Scale:
    """Bounded below by a tenth of the value, so that noise is not drawn as an event."""
    middle = (min(values) + max(values)) / 2
    room = abs(middle) * 0.05
    held = [*values, middle - room, middle + room]
    axis = linear(held, _BOTTOM, _TOP, margin=0.08)
    return Scale(0.0, axis.high, _BOTTOM, _TOP) if min(values) >= 0 > axis.low else axis


def _grid(tall: Scale, unit: Unit) -> Markup:
    ticks = tall.ticks(4)
    parts = []
    for tick, words in zip(ticks, unit.ticks(ticks), strict=True):
        y = tall(tick)
        parts.append(svg.line((_LEFT, y), (_RIGHT, y), "grid"))
        parts.append(svg.text(_LEFT - 5, y + 4, words, "tick", "end"))
    return Markup("").join(parts)


def _line(line: Line, tone: int, along: Scale, tall: Scale) -> Markup:
    runs = [_thin(run) for run in _runs(line.points)]
    return svg.path([[(along(x), tall(y)) for x, y in run] for run in runs], f"line tone{tone}")


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[Point]]:
    """Stretches without a missing value: a gap in the data stays a gap in the picture."""
    runs: list[list[Point]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run][: bins.BUCKETS]


def _thin(run: list[Point]) -> list[Point]:
    """Both extremes of each bucket, so that a spike is not averaged away."""
    if len(run) <= bins.BUCKETS:
        return run
    grouped = bins.buckets([x for x, _ in run], [y for _, y in run], bins.BUCKETS // 2)
    return [(b.place, y) for b in grouped for y in (b.low, b.high)]
