"""What scores of 0 and 1 let us say with confidence. All intervals are two-sided at 95 %."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from yardarm.artifacts import Estimate

Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def estimate(values: NDArray[np.float64]) -> Estimate:
    """The mean of scores of 0 and 1 with Wilson's score interval.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 22, 1927.

    Args:
        values: float64 [N] of 0 and 1, N ≥ 1.
    """
    low, high = wilson(int(values.sum()), len(values))
    return Estimate(float(values.mean()), low, high, len(values), "wilson")


def wilson(hits: int, samples: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `hits` in `samples` (≥ 1)."""
    share, square = hits / samples, Z * Z
    centre = share + square / (2 * samples)
    margin = Z * math.sqrt(share * (1 - share) / samples + square / (4 * samples * samples))
    scale = 1 + square / samples
    low = 0.0 if hits == 0 else (centre - margin) / scale
    high = 1.0 if hits == samples else (centre + margin) / scale
    return low, high


def paired_drop(before: NDArray[np.float64], after: NDArray[np.float64]) -> Estimate:
    """How much the mean fell from `before` to `after`, over the same samples.

    The square-and-add interval with the correlation of the pairs: method 10 in
    R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17, 1998. Where no sample differs,
    it reaches to what Wilson's interval allows for the share of samples that would: z² / (N + z²).

    Args:
        before, after: float64 [N] of 0 and 1, N ≥ 1, the same samples in the same order.
    """
    low, high = _newcombe(before, after)
    drop = float((before - after).mean())
    if np.array_equal(before, after):
        unseen = wilson(0, len(before))[1]
        low, high = -unseen, unseen
    return Estimate(drop, min(low, drop), max(high, drop), len(before), "newcombe-paired")


def _newcombe(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float]:
    samples = len(before)
    first, second = float(before.mean()), float(after.mean())
    low1, high1 = wilson(int(before.sum()), samples)
    low2, high2 = wilson(int(after.sum()), samples)
    down1, up1, down2, up2 = first - low1, high1 - first, second - low2, high2 - second
    together = _correlation(before, after)
    below = math.sqrt(max(0.0, down1**2 - 2 * together * down1 * up2 + up2**2))
    above = math.sqrt(max(0.0, up1**2 - 2 * together * up1 * down2 + down2**2))
    return first - second - below, first - second + above


def _correlation(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Newcombe's phi: the pairs' correlation, damped by half a pair where it is positive."""
    both = float((before * after).sum())
    neither = float(((1 - before) * (1 - after)).sum())
    lost, won = float((before * (1 - after)).sum()), float(((1 - before) * after).sum())
    product = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    if product == 0:
        return 0.0
    excess = both * neither - lost * won
    if excess > 0:
        excess = max(excess - len(before) / 2, 0.0)
    return excess / math.sqrt(product)
