"""A histogram of a stream in constant memory, whose end does not depend on the batches.

Bins are as wide as a power of two and aligned at zero. When a value falls outside, the width
doubles and neighbours merge, which is exact. So the bins at the end follow from the
largest magnitude alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 2048  # bins on either side of zero
BINS = 2 * SIDE
FINEST = -150  # exponent of the narrowest bin: float32's smallest number has 2^-149
QUICK = range(-120, 1)  # exponents at which float32 scales exactly: up, and not to infinity


@dataclass(frozen=True)
class Histogram:
    """Counts of values per bin. `exponent` is log2 of the bins' width.

    Attributes:
        counts: int64 [2 × SIDE]; bin i covers [(i − SIDE), (i − SIDE + 1)) × 2^exponent.
    """

    exponent: int
    counts: NDArray[np.int64]

    @property
    def edges(self) -> NDArray[np.float64]:
        """float64 [2 × SIDE + 1]: where bins begin, and where the last one ends."""
        return np.ldexp(np.arange(-SIDE, SIDE + 1, dtype=np.float64), self.exponent)

    def quantile(self, share: float) -> float:
        """The value below which `share` of the counted values lie, linear within a bin."""
        reached = np.concatenate([[0], np.cumsum(self.counts)])
        return float(np.interp(share * reached[-1], reached, self.edges))


@dataclass
class Tally:
    """Counts that grow, each portion of the stream apart.

    Attributes:
        counts: int64 [portions, 2 × SIDE], bins as a histogram's.
    """

    counts: NDArray[np.int64]
    exponent: int = FINEST

    @staticmethod
    def of(portions: int) -> Tally:
        return Tally(np.zeros((portions, BINS), np.int64))

    def add(self, values: NDArray[np.generic], portions: NDArray[np.intp], largest: float) -> None:
        """Count finite numbers of any type [rows, n], each row in its portion [rows].

        `largest` bounds their magnitude.
        """
        self._widen(exponent(largest))
        bins = _bins(values, self.exponent)
        first = int(portions[0])
        if len(portions) == 1 or (portions == first).all():
            self.counts[first] += np.bincount(bins.ravel(), minlength=BINS)
            return
        bins += portions[:, None] * BINS
        counted = np.bincount(bins.ravel(), minlength=self.counts.size)
        self.counts += counted.reshape(self.counts.shape)

    def _widen(self, needed: int) -> None:
        if needed > self.exponent and not self.counts.any():
            self.exponent = needed
        while self.exponent < needed:
            merged = self.counts.reshape(len(self.counts), -1, 2).sum(axis=2)
            self.counts = np.pad(merged, [(0, 0), (SIDE // 2, SIDE // 2)])
            self.exponent += 1


def exponent(largest: float) -> int:
    """The finest width with which magnitudes up to `largest` fit on one side, as log2."""
    if largest == 0:
        return FINEST
    return max(FINEST, math.frexp(largest)[1] - int(math.log2(SIDE)))


def _bins(values: NDArray[np.generic], width: int) -> NDArray[np.intp]:
    """The bin of each value. A product with a power of two is exact but where it underflows:
    there float32 would lose the sign of what is tiny beside the bins' width."""
    precise = values.dtype == np.float32 and width in QUICK
    scaled = np.multiply(values, 2.0**-width, dtype=np.float32 if precise else np.float64)
    bins: NDArray[np.intp] = np.floor(scaled, out=scaled).astype(np.intp)
    bins += SIDE
    return bins
