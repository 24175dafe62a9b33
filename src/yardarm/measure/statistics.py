"""Percentiles, and how many samples they need.

A percentile is the nearest rank: the smallest sample that at least p % of all samples do
not exceed. It is always a latency that was really measured; nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

PERCENTILES = ("p50", "p90", "p95", "p97", "p99", "p99.9")
CONFIDENCE = 0.99
ALLOWED_OVER = 1


def share(name: str) -> Fraction:
    """The share that a percentile's name stands for: "p99.9" is 999/1000."""
    return Fraction(name.removeprefix("p")) / 100


@cache
def minimum(name: str) -> int:
    """The fewest samples from which a percentile may be told.

    MLPerf LoadGen's early stopping (MLCommons inference rules): so many that, were the true
    share below the percentile's, at most one sample over it would be seen with less than 1 %
    probability. 11 for p50, 64 for p90, 130 for p95, 219 for p97, 662 for p99, 6,636 for p99.9.
    """
    under = float(share(name))
    count = ALLOWED_OVER + 1
    while under**count + count * (1 - under) * under ** (count - 1) > 1 - CONFIDENCE:
        count += 1
    return count


def percentile(ordered: Sequence[float], name: str) -> float:
    """The nearest rank in ascending samples, of which there is at least one."""
    rank = -(-share(name).numerator * len(ordered) // share(name).denominator)
    return ordered[max(1, rank) - 1]


def percentiles(samples: Sequence[float]) -> dict[str, float | None]:
    """All of `PERCENTILES`, in the samples' unit; None where there are too few samples."""
    ordered = sorted(samples)
    return {
        name: percentile(ordered, name) if len(ordered) >= minimum(name) else None
        for name in PERCENTILES
    }


def insufficient(count: int) -> dict[str, dict[str, int]]:
    """The percentiles that `count` samples don't support, with what they need."""
    return {
        name: {"need": minimum(name), "have": count}
        for name in PERCENTILES
        if count < minimum(name)
    }
