"""What one tensor was over the calibration set: extremes, mean and counted values.

All of it is kept by portions of the samples as well, so that one pass tells how much the
ranges still move with the number of samples, and how they do on samples left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from yardarm.compile.calibration.histogram import Histogram, Tally

KEPT = 4_096  # values of one tensor and sample that are counted: more change no range
# Every eighth sample of the set, by its place in it, has the same portion. The first portions
# together are an eighth, a quarter, a half and seven eighths; the last is held out.
PORTION_OF = np.array([0, 1, 2, 2, 3, 3, 3, 4], np.intp)
PORTIONS = 5


@dataclass
class Observed:
    """A tensor over the whole set, by portions of the samples.

    Attributes:
        lows, highs, totals: float64 [PORTIONS]; extremes and sum of all values.
        sizes, samples: int64 [PORTIONS]; how many values, and samples, these are of.
        tally: the counted values.
        still: where the tensor has channels, those that took one value only, with it.
    """

    lows: NDArray[np.float64] = field(default_factory=lambda: np.full(PORTIONS, np.inf))
    highs: NDArray[np.float64] = field(default_factory=lambda: np.full(PORTIONS, -np.inf))
    totals: NDArray[np.float64] = field(default_factory=lambda: np.zeros(PORTIONS))
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(PORTIONS, np.int64))
    samples: NDArray[np.int64] = field(default_factory=lambda: np.zeros(PORTIONS, np.int64))
    tally: Tally = field(default_factory=lambda: Tally.of(PORTIONS))
    still: dict[int, np.generic] | None = None

    @property
    def low(self) -> float:
        return float(self.lows.min())

    @property
    def high(self) -> float:
        return float(self.highs.max())

    @property
    def count(self) -> int:
        return int(self.sizes.sum())

    @property
    def mean(self) -> float:
        return float(self.totals.sum()) / self.count

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def histogram(self) -> Histogram:
        return Histogram(self.tally.exponent, self.tally.counts.sum(axis=0))

    def portion(self, chosen: slice) -> Observed:
        """The same tensor over some portions of the samples only."""
        return Observed(
            self.lows[chosen],
            self.highs[chosen],
            self.totals[chosen],
            self.sizes[chosen],
            self.samples[chosen],
            Tally(self.tally.counts[chosen], self.tally.exponent),
        )

    def add(
        self, values: NDArray[np.generic], first: int, spread: tuple[int, int] | None = None
    ) -> None:
        """Take in consecutive samples.

        Args:
            values: [samples, …]; not empty, numbers of any type.
            first: the place of the first of them in the set.
            spread: where the tensor has channels, how many, and values in one of a sample.
        """
        samples = len(values)
        portions = PORTION_OF[(first + np.arange(samples)) % len(PORTION_OF)]
        rows = values.reshape(samples, -1)
        lows, highs = rows.min(axis=1), rows.max(axis=1)
        _fold(np.minimum, self.lows, portions, lows)
        _fold(np.maximum, self.highs, portions, highs)
        if not self.finite:
            return
        _fold(np.add, self.totals, portions, _totals(rows))
        ones = np.ones(samples, np.int64)
        _fold(np.add, self.samples, portions, ones)
        _fold(np.add, self.sizes, portions, ones * rows.shape[1])
        largest = max(abs(float(lows.min())), abs(float(highs.max())))
        self.tally.add(_thinned(rows), portions, largest)
        if spread is not None:
            self._watch(rows.reshape(samples, -1, *spread))

    def _watch(self, split: NDArray[np.generic]) -> None:
        """Strike the channels that take a second value; [samples, …, channels, n]."""
        if self.still is None:
            self.still = {channel: split[0, 0, channel, 0] for channel in range(split.shape[2])}
        if not self.still:
            return
        suspects = np.array([*self.still], np.intp)
        values = np.array([*self.still.values()])
        same = (split[:, :, suspects] == values[:, None]).all(axis=(0, 1, 3))
        self.still = dict(zip(suspects[same].tolist(), values[same], strict=True))


def _fold(
    how: np.ufunc,
    into: NDArray[np.generic],
    portions: NDArray[np.intp],
    values: NDArray[np.generic],
) -> None:
    """`how.at`, which is slow, where there is more than one value."""
    if len(values) == 1:
        into[portions[0]] = how(into[portions[0]], values[0])
    else:
        how.at(into, portions, values)


def _totals(rows: NDArray[np.generic]) -> NDArray[np.float64]:
    """Each row's sum, quicker in float32 where that does not overflow."""
    if rows.dtype == np.float32:
        with np.errstate(over="ignore", invalid="ignore"):
            quick: NDArray[np.float64] = rows.sum(axis=1).astype(np.float64)
        if np.isfinite(quick).all():
            return quick
    return np.asarray(rows.sum(axis=1, dtype=np.float64))


def _thinned(rows: NDArray[np.generic]) -> NDArray[np.generic]:
    """Every so-manieth value of each sample. An odd stride does not lock onto rows or channels
    of even length."""
    stride = -(-rows.shape[1] // KEPT) | 1
    return rows[:, ::stride]
