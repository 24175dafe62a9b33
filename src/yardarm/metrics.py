"""Scores of outputs against labels, and what they let us say with confidence.

All intervals are two-sided at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from yardarm.artifacts import Estimate
from yardarm.errors import InvalidInput

Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def scores(
    metric: str,
    outputs: Mapping[str, NDArray[np.generic]],
    labels: NDArray[np.generic],
    output: str | None,
) -> NDArray[np.float64]:
    """One score a sample; their mean is the metric.

    Args:
        metric: "top1": 1 where the argmax of the output is the label, else 0.
        outputs: by name, sample axis first; for "top1" [N, classes].
        labels: [N] integers.
        output: the output that is scored; None: the first.

    Returns:
        float64 [N].

    Raises:
        InvalidInput: no such metric or output, or shapes that don't match.
    """
    if metric != "top1":
        raise InvalidInput(f"there is no metric {metric!r}", where="metric.name")
    chosen = output if output is not None else next(iter(outputs))
    if chosen not in outputs:
        raise InvalidInput(
            f"the model has no output {chosen!r} (it has: {', '.join(outputs)})",
            where="metric.output",
        )
    return _top1(outputs[chosen], labels)


def _top1(values: NDArray[np.generic], labels: NDArray[np.generic]) -> NDArray[np.float64]:
    if values.ndim != 2 or labels.shape != values.shape[:1]:
        raise InvalidInput(
            "top1 needs outputs [samples, classes] and one label a sample, "
            f"found {list(values.shape)} and {list(labels.shape)}",
            where="metric",
        )
    if labels.dtype.kind not in "iu":
        raise InvalidInput(f"labels are integers for top1, found {labels.dtype}", where="metric")
    if labels.size and not 0 <= labels.min() <= labels.max() < values.shape[1]:
        raise InvalidInput(
            f"labels run from {labels.min()} to {labels.max()}, "
            f"but the output has the classes 0 to {values.shape[1] - 1}",
            where="metric",
            hint="number the labels as the model's output does",
        )
    return np.asarray(np.argmax(values, axis=1) == labels, dtype=np.float64)


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
    proportions based on paired data", Statistics in Medicine 17, 1998.

    Args:
        before, after: float64 [N] of 0 and 1, N ≥ 1, the same samples in the same order.
    """
    low, high = _newcombe(before, after)
    drop = float((before - after).mean())
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
