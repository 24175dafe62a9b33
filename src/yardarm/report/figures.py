"""Numbers as people read them: few digits, a unit, a true minus sign."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"


def plain(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits, never in exponent form between 1e-4 and 1e7."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 < magnitude < 7:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    places = max(digits - 1 - magnitude, 0)
    return _signed(f"{value:,.{places}f}")


def fixed(value: float | None, places: int) -> str:
    return MISSING if value is None else _signed(f"{value:.{places}f}")


def whole(value: float | None) -> str:
    return MISSING if value is None else _signed(f"{value:,.0f}")


def _signed(shown: str) -> str:
    """A true minus sign, and none before a zero that rounding left."""
    if shown.startswith("-") and not shown.strip("-0.,"):
        shown = shown[1:]
    return shown.replace("-", MINUS)


@dataclass(frozen=True)
class Unit:
    """How one kind of figure is shown: `factor` turns the stored value into `name`."""

    name: str
    factor: float = 1.0
    places: int | None = None

    def __call__(self, value: float | None) -> str:
        if value is None:
            return MISSING
        return f"{self.bare(value)}{SPACE}{self.name}" if self.name else self.bare(value)

    def bare(self, value: float) -> str:
        """Without the unit's name: for axes and columns that carry it already."""
        shown = value * self.factor
        return plain(shown) if self.places is None else fixed(shown, self.places)

    def ticks(self, values: Sequence[float]) -> list[str]:
        """Ticks of one axis, all with as many decimals as tell them exactly."""
        shown = [value * self.factor for value in values]
        largest = max(map(abs, shown), default=0.0)
        if largest >= 1e7 or 0 < largest < 1e-4:
            return [plain(value) for value in shown]
        for places in range(6):
            if all(abs(value - round(value, places)) <= largest * 1e-6 for value in shown):
                break
        return [_signed(f"{value:,.{places}f}") for value in shown]

    def span(self, low: float | None, high: float | None) -> str:
        if low is None or high is None:
            return MISSING
        return f"{self.bare(low)} to {self(high)}"


MICROSECONDS = Unit("µs")
MILLISECONDS = Unit("ms", 1e-3)
SECONDS = Unit("s", 1e-6)
PERCENT = Unit("%", 100, 1)
POINTS = Unit("points", 100, 2)
SCORE = Unit("")
MEGABYTES = Unit("MB", 1e-6)


def duration(microseconds: float | None) -> Unit:
    """The unit that shows a duration of this many microseconds best."""
    if microseconds is None or microseconds < 1e3:
        return MICROSECONDS
    return MILLISECONDS if microseconds < 1e6 else SECONDS


def score(metric: str) -> tuple[Unit, Unit]:
    """How a metric and a difference of it are shown. `top1` is a share of samples."""
    return (PERCENT, POINTS) if metric == "top1" else (SCORE, SCORE)
