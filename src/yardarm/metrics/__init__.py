"""Scores of outputs against labels, and what they let us say with confidence.

All intervals are two-sided at 95 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yardarm import callables
from yardarm.digest import Digest
from yardarm.metrics.comparison import (
    Comparison,
    GroupScore,
    by_group,
    compare,
    decidable,
    fewest,
    needed,
    score,
)
from yardarm.metrics.intervals import Z, estimate, paired_drop, wilson
from yardarm.metrics.judging import Outputs, judged, wanted
from yardarm.project import MetricSection

__all__ = [
    "Comparison",
    "GroupScore",
    "Z",
    "by_group",
    "compare",
    "decidable",
    "digest",
    "estimate",
    "fewest",
    "judge",
    "needed",
    "paired_drop",
    "score",
    "scores",
    "wanted",
    "wilson",
]


def judge(
    section: MetricSection, outputs: Outputs, labels: NDArray[np.generic]
) -> NDArray[np.float64] | float:
    """The metric as it defines itself: one score a sample (their mean is the metric), or one
    float for all of them.

    Args:
        outputs: by name, sample axis first; where samples differ in shape, arrays of arrays.
            `wanted` names those that are needed.
        labels: [N, …], likewise.

    Returns:
        float64 [N], or a float.

    Raises:
        InvalidInput: outputs or labels don't fit the metric; a callable can't be loaded,
            raises, or returns anything else (it is named, and quoted).
    """
    return judged(section, outputs, labels)[0]


def digest(section: MetricSection) -> Digest | None:
    """Of a callable's source, so that a result can be known to rest on it; None: built in."""
    return callables.digest(section.name, section.root) if section.custom else None


def scores(
    metric: str,
    outputs: Outputs,
    labels: NDArray[np.generic],
    output: str | None,
) -> NDArray[np.float64]:
    """`judge` for a metric that gives one score a sample."""
    found = judge(MetricSection(name=metric, output=output), outputs, labels)
    return np.atleast_1d(np.asarray(found, np.float64))
