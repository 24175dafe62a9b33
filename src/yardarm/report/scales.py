"""Axes: from data to coordinates, linear or logarithmic, with round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Scale:
    """`low`…`high` of the data laid over `start`…`end` of the picture.

    Values outside are drawn at the edge. With `log`, `low` is above zero.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._place(self.low), self._place(self.high)
        share = (self._place(value) - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _place(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.log else value

    def edges(self, count: int) -> list[float]:
        """`count` + 1 values that divide the axis into equally wide bins."""
        low, high = self._place(self.low), self._place(self.high)
        places = [low + (high - low) * n / count for n in range(count + 1)]
        inner = [10**place if self.log else place for place in places[1:-1]]
        return [self.low, *inner, self.high]

    def ticks(self, most: int = 6) -> list[float]:
        """At most `most` round values inside the axis; linear ticks where decades are few."""
        if self.log and self.high / self.low >= 30:
            return _decades(self.low, self.high, most)
        return _round_steps(self.low, self.high, most)


def linear(
    values: Sequence[float], start: float, end: float, *, zero: bool = False, margin: float = 0.0
) -> Scale:
    """A scale that holds all values. One value, or many equal ones, get room around them.

    Args:
        zero: the axis includes zero.
        margin: empty room at both ends, as a share of the span.
    """
    low = min([*values, 0.0] if zero else values, default=0.0)
    high = max([*values, 0.0] if zero else values, default=1.0)
    if high - low < max(abs(low), abs(high)) * 1e-6 + _SMALLEST:
        room = max(abs(high) * 0.1, 0.5 if high == 0 else _SMALLEST * 10)
        low, high = (low if zero and low >= 0 else low - room), high + room
    extra = (high - low) * margin
    return Scale(low - (0 if zero and low == 0 else extra), high + extra, start, end)


def spread(values: Sequence[float], start: float, end: float) -> Scale:
    """For durations: logarithmic where the longest is over three times the middle one."""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2] if ordered else 0.0
    if ordered and ordered[0] > _SMALLEST and ordered[-1] > 3 * middle:
        return Scale(ordered[0] / 1.1, ordered[-1] * 1.1, start, end, log=True)
    return linear(values, start, end, margin=0.04)


def _round_steps(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(most - 1, 1)
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in _STEPS if s * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _decades(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for marks in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**n for n in range(first, last + 1) for m in marks]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]
