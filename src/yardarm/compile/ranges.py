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

from yardarm.compile.calibrate import Observed

Range = tuple[float, float]
STEPS = 255
GRID = 64


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


RULES: Mapping[str, Callable[[Observed], Range]] = {
    "least-error": least_error,
    "percentile-99.9": partial(percentile, share=0.999),
    "percentile-99.99": partial(percentile, share=0.9999),
    "min-max": min_max,
}


def _within(seen: Observed, low: float, high: float) -> Range:
    """Bins are coarser than the extremes: never cover what was not seen."""
    return max(low, seen.low), min(high, seen.high)


def _error(
    seen: Observed, lows: NDArray[np.float64], highs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Expected squared error, summed over the counted values, for each pair of ends."""
    edges, counts = seen.histogram.edges, seen.histogram.counts
    centres = (edges[:-1] + edges[1:]) / 2
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
