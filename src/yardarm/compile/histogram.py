"""A histogram of a stream in constant memory, whose end does not depend on the batches.

Bins are as wide as a power of two and aligned at zero. When a value falls outside, the width
doubles and neighbours merge, which is exact. So the bins at the end follow from the
largest magnitude alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SIDE = 2048  # bins on either side of zero
FINEST = -150  # exponent of the narrowest bin: float32's smallest number has 2^-149


@dataclass
class Histogram:
    """Counts of values per bin. `exponent` is log2 of the bins' width.

    Attributes:
        counts: int64 [2 × SIDE]; bin i covers [(i − SIDE), (i − SIDE + 1)) × 2^exponent.
    """

    exponent: int = FINEST
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * SIDE, np.int64))

    def add(self, values: NDArray[np.generic], largest: float) -> None:
        """Count finite numbers of any type. `largest` bounds their magnitude."""
        self._widen(largest)
        # float64: float32 would lose the sign of what is tiny beside the bins' width.
        scaled = values.ravel().astype(np.float64) * 2.0**-self.exponent
        bins = np.floor(scaled).astype(np.intp)
        self.counts += np.bincount(bins + SIDE, minlength=2 * SIDE)

    def _widen(self, largest: float) -> None:
        needed = _exponent(largest)
        if needed > self.exponent and not self.counts.any():
            self.exponent = needed
        while self.exponent < needed:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.pad(merged, SIDE // 2)
            self.exponent += 1

    @property
    def edges(self) -> NDArray[np.float64]:
        """float64 [2 × SIDE + 1]: where bins begin, and where the last one ends."""
        return np.ldexp(np.arange(-SIDE, SIDE + 1, dtype=np.float64), self.exponent)

    def quantile(self, share: float) -> float:
        """The value below which `share` of the counted values lie, linear within a bin."""
        reached = np.concatenate([[0], np.cumsum(self.counts)])
        return float(np.interp(share * reached[-1], reached, self.edges))


def _exponent(largest: float) -> int:
    """The finest width with which magnitudes up to `largest` fit on one side."""
    if largest == 0:
        return FINEST
    return max(FINEST, math.frexp(largest)[1] - int(math.log2(SIDE)))
