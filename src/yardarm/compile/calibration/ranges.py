"""Which part of a tensor's values the 256 steps of int8 shall cover.

Covering everything wastes steps on outliers; cutting them off costs their clipping. There
is no rule that wins on every model, so a few are offered and `search` compares them by
what comes out of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from yardarm.compile.calibration.histogram import SIDE, Tally
from yardarm.compile.calibration.observed import Observed

Range = tuple[float, float]
Rule = Callable[[Observed], Range]
STEPS = 255
GRID = 64
WINDOWS = 256  # ranges that entropy compares


def min_max(seen: Observed) -> Range:
    return seen.low, seen.high


def percentile(seen: Observed, share: float) -> Range:
    """The middle `share` of the values."""
    tail = (1 - share) / 2
    low, high = seen.histogram.quantile(tail), seen.histogram.quantile(1 - tail)
    return _within(seen, low, high)


def least_error(seen: Observed) -> Range:
    """The range with the least expected squared error: clipping beyond it, rounding within.

    Rounding to steps of width s is taken to err by s²/12 on average.
    """
    shares = np.linspace(1 / GRID, 1, GRID)
    lows, highs = min(seen.low, 0.0) * shares, max(seen.high, 0.0) * shares
    error = _error(seen, lows[:, None], highs[None, :])
    row, column = np.unravel_index(int(np.argmin(error)), error.shape)
    return _within(seen, float(lows[row]), float(highs[column]))


def entropy(seen: Observed) -> Range:
    """The range whose 255 levels tell least less about the values: Kullback-Leibler divergence
    of the values clipped to the range from the same in levels, each level's count spread
    evenly over its bins that hold something.

    The method of Migacz, "8-bit inference with TensorRT" (GTC 2017), both ends drawn in by
    the same share. A share's divergence takes a sum a level from running totals.
    """
    histogram = seen.histogram
    filled = np.flatnonzero(histogram.counts)
    left, right = max(0, SIDE - filled[0]), max(0, filled[-1] + 1 - SIDE)
    bins = left + right
    if bins <= STEPS:
        return min_max(seen)
    shares = np.linspace(STEPS / bins, 1, WINDOWS)
    starts = SIDE - np.rint(left * shares).astype(np.intp)
    ends = SIDE + np.rint(right * shares).astype(np.intp)
    best = int(np.argmin(_divergences(histogram.counts, starts, ends)))
    low, high = histogram.edges[[starts[best], ends[best]]]
    return _within(seen, float(low), float(high))


def symmetric(rule: Rule) -> Rule:
    """The rule for targets whose zero lies in the middle: of magnitudes, and as far down as up."""

    def mirrored(seen: Observed) -> Range:
        end = max(map(abs, rule(_mirrored(seen))))
        return -end, end

    return mirrored


RULES: Mapping[str, Rule] = {
    "least-error": least_error,
    "entropy": entropy,
    "percentile-99.9": partial(percentile, share=0.999),
    "percentile-99.99": partial(percentile, share=0.9999),
    "min-max": min_max,
}
SYMMETRIC: Mapping[str, Rule] = {name: symmetric(rule) for name, rule in RULES.items()}


def _mirrored(seen: Observed) -> Observed:
    """The values and their negatives."""
    end = np.array([max(abs(seen.low), abs(seen.high))])
    counts = seen.tally.counts + seen.tally.counts[:, ::-1]
    return Observed(-end, end, tally=Tally(counts, seen.tally.exponent))


def _within(seen: Observed, low: float, high: float) -> Range:
    """Bins are coarser than the extremes: never cover what was not seen."""
    return max(low, seen.low), min(high, seen.high)


def _error(
    seen: Observed, lows: NDArray[np.float64], highs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Expected squared error, summed over the counted values, for each pair of ends; in bins'
    widths, so that no float64 overflows."""
    exponent, counts = seen.histogram.exponent, seen.histogram.counts
    lows, highs = np.ldexp(lows, -exponent), np.ldexp(highs, -exponent)
    centres = np.arange(-SIDE, SIDE) + 0.5
    sums = [np.concatenate([[0], np.cumsum(counts * centres**power)]) for power in range(3)]
    below, above = np.searchsorted(centres, lows), np.searchsorted(centres, highs)
    left = _spread(lows, *(total[below] for total in sums))
    right = _spread(highs, *(total[-1] - total[above] for total in sums))
    inside = sums[0][above] - sums[0][below]
    rounding = inside * ((highs - lows) / STEPS) ** 2 / 12
    return np.asarray(left + right + rounding, np.float64)


def _spread(
    end: NDArray[np.float64],
    count: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Σ (value − end)² from the values' count, sum and sum of squares."""
    return second - 2 * end * first + end**2 * count


def _divergences(
    counts: NDArray[np.int64], starts: NDArray[np.intp], ends: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Of each window [starts, ends) of bins, infinite where levels make values impossible."""
    running, filled, logs = (
        np.concatenate([[0.0], np.cumsum(part)])
        for part in (counts.astype(np.float64), counts > 0, _times_log(counts))
    )
    grid = np.linspace(0, 1, STEPS + 1)
    borders = np.rint(starts[:, None] + (ends - starts)[:, None] * grid).astype(np.intp)
    held, wide = np.diff(running[borders]), np.diff(filled[borders])
    total = running[-1]
    inside = running[ends] - running[starts]
    clipped = logs[ends] - logs[starts]
    # What lies outside is counted in the outermost bins of what is clipped, not of the levels.
    spread = np.zeros(len(starts))
    outer = [(0, starts, running[starts]), (-1, ends - 1, total - running[ends])]
    for level, at, beyond in outer:
        wide[:, level] += (counts[at] == 0) & (beyond > 0)
        clipped += _times_log(counts[at] + beyond) - _times_log(counts[at])
        with np.errstate(divide="ignore", invalid="ignore"):
            density = np.log(held[:, level] / wide[:, level])
        spread += np.where(beyond > 0, beyond * density, 0.0)
    spread += (_times_log(held) - held * np.log(np.maximum(wide, 1))).sum(axis=1)
    apart = (clipped - spread) / total - np.log(total)
    return np.asarray(apart + np.log(np.maximum(inside, 1)))


def _times_log(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """n log n, 0 for nothing."""
    numbers = np.asarray(counts, np.float64)
    return numbers * np.log(np.maximum(numbers, 1))
