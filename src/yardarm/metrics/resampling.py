"""Intervals for metrics that are no shares of hits: bootstrap, and jackknife over clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from yardarm.artifacts import Estimate
from yardarm.errors import InvalidInput
from yardarm.metrics.intervals import Z
from yardarm.metrics.judging import Judged

Table = NDArray[np.float64]

SEED = 20
ENOUGH = 1000
"""Replicates from which on percentiles are read off them."""


def bootstrapped(sides: Sequence[Judged], samples: int, resamples: int) -> Table:
    """The sides' metrics over samples drawn with replacement, the same ones for every side.

    The seed is fixed: the same data give the same interval. A choice on which a metric can't
    be computed (no sample of a class, say) is left out.

    Returns:
        [replicates, sides].

    Raises:
        InvalidInput: it fails on more than half of them.
    """
    random = np.random.default_rng(SEED)
    rows = []
    for _ in range(resamples):
        chosen = random.integers(0, samples, samples)
        try:
            rows.append([side.of(chosen) for side in sides])
        except InvalidInput as error:
            failure = error
    if 2 * len(rows) <= resamples:
        raise failure
    return np.asarray(rows, np.float64)


def bootstrap(value: float, replicates: Table, samples: int) -> Estimate:
    """The percentile interval from 1,000 replicates on; value ± z · standard error below.

    Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapters
    13 (percentiles) and 6 (the standard error, for which 200 replicates are enough).

    Args:
        replicates: [B].
    """
    if len(replicates) >= ENOUGH:
        low, high = (float(end) for end in np.quantile(replicates, (0.025, 0.975)))
    else:
        margin = Z * float(np.std(replicates, ddof=1))
        low, high = value - margin, value + margin
    return Estimate(value, min(low, value), max(high, value), samples, "bootstrap")


def without_each(sides: Sequence[Judged], clusters: NDArray[np.generic], most: int) -> Table:
    """The sides' metrics with one cluster left out after the other; [clusters, sides].

    More than `most` clusters are put together at random to so many.

    Raises:
        InvalidInput: there is only one cluster.
    """
    _, members = np.unique(clusters, return_inverse=True)
    count = int(members.max()) + 1
    if count < 2:
        raise InvalidInput("all samples are in one group: nothing can be said of others")
    if count > most:
        order = np.random.default_rng(SEED).permutation(count)
        members, count = order[members] % most, most
    kept = (np.flatnonzero(members != cluster) for cluster in range(count))
    return np.asarray([[side.of(chosen) for side in sides] for chosen in kept], np.float64)


def jackknife(value: float, left_out: Table, samples: int) -> Estimate:
    """value ± t · the cluster jackknife's standard error, t of G - 1 degrees of freedom.

    It holds with few and unequal clusters better than resampling them does.
    Source: J. G. MacKinnon, M. Ø. Nielsen and M. D. Webb, "Fast and reliable jackknife and
    bootstrap methods for cluster-robust inference", Journal of Applied Econometrics 38, 2023
    (CV3); P. S. Kott, "The delete-a-group jackknife", Journal of Official Statistics 17, 2001.

    Args:
        left_out: [G], the value without each cluster.
    """
    groups = len(left_out)
    spread = float(((left_out - value) ** 2).sum()) * (groups - 1) / groups
    margin = student(groups - 1) * math.sqrt(spread)
    return Estimate(value, value - margin, value + margin, samples, "cluster-jackknife")


def student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t."""
    low, high = Z, 13.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < 0.95 else (low, middle)
    return (low + high) / 2


def _within(limit: float, degrees: int) -> float:
    """P(|t| ≤ limit). M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions,
    1964, 26.7.3 and 26.7.4."""
    angle = math.atan(limit / math.sqrt(degrees))
    square = math.cos(angle) ** 2
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for step in range(degrees // 2):
        total += term
        upper, lower = (2 * step + 2, 2 * step + 3) if odd else (2 * step + 1, 2 * step + 2)
        term *= square * upper / lower
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
