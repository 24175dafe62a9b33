"""Two models under one metric on the same samples, and how many samples a verdict needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yardarm.artifacts import Estimate
from yardarm.errors import InvalidInput
from yardarm.metrics import resampling
from yardarm.metrics.intervals import Z, estimate, paired_drop
from yardarm.metrics.judging import Judged, Outputs, Parts, Scores, judged
from yardarm.project import MetricSection

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Comparison:
    """A metric before and after.

    Attributes:
        before, after: the metric as it defines itself.
        drop: positive where `after` is worse, whichever direction the metric has.
        discordance: share of samples whose score differs, or whose part in an F1; for a callable
            that gives one float, whose first output differs.
    """

    before: Estimate
    after: Estimate
    drop: Estimate
    discordance: float


@dataclass(frozen=True)
class GroupScore:
    """A comparison over the samples of one group."""

    group: str
    before: Estimate
    after: Estimate
    drop: Estimate


def compare(
    section: MetricSection,
    before: Outputs,
    after: Outputs,
    labels: Array,
    clusters: Array | None = None,
) -> Comparison:
    """Score two models' outputs for the same samples.

    Scores of 0 and 1 get Wilson's and Newcombe's intervals, all others the paired bootstrap;
    a callable that gives one float is called 400 times for it. With clusters, the jackknife
    over clusters, never narrower than without them for scores of 0 and 1.

    Args:
        before, after: by name, sample axis first; ragged ones as arrays of arrays.
        labels: [N, …].
        clusters: [N]; samples of the same cluster (a person, a recording) are not independent.

    Raises:
        InvalidInput: as `judge`, or lengths differ.
    """
    (first, one), (second, two) = (judged(section, side, labels) for side in (before, after))
    if isinstance(first, float) != isinstance(second, float):
        raise InvalidInput(
            f"the metric {section.name} gave one float for a model and scores for another",
            where="metric.name",
        )
    sign = -1.0 if section.better_when_lower else 1.0
    figures = _figures((first, second), (one, two), len(labels), sign, clusters)
    return Comparison(*figures, _discordance((one, two), (before, after)))


def score(section: MetricSection, outputs: Outputs, labels: Array) -> Estimate:
    """One model's metric, with its interval as in `compare`.

    Raises:
        InvalidInput: as `judge`.
    """
    found, side = judged(section, outputs, labels)
    if not isinstance(found, float) and _binary(found):
        return estimate(found)
    table = resampling.bootstrapped((side,), len(labels), side.resamples)
    return resampling.bootstrap(float(np.mean(found)), table[:, 0], len(labels))


def by_group(
    section: MetricSection, before: Outputs, after: Outputs, labels: Array, groups: Array
) -> tuple[GroupScore, ...]:
    """A comparison for each group, in the groups' order.

    Args:
        groups: [N] integers or text.

    Raises:
        InvalidInput: as `compare`, or `groups` has another length.
    """
    _check_length(groups, len(labels), "data.groups")
    found = []
    for group in np.unique(groups):
        chosen = np.flatnonzero(groups == group)
        sides = [{name: side[name][chosen] for name in side} for side in (before, after)]
        told = compare(section, sides[0], sides[1], labels[chosen])
        found.append(GroupScore(str(group), told.before, told.after, told.drop))
    return tuple(found)


def needed(comparison: Comparison, max_drop: float) -> int | None:
    """About how many samples decide whether the drop is within `max_drop`; None: no number.

    As if more samples went on like these: intervals shrink with the root of their number.
    """
    drop = comparison.drop
    gap = max_drop - drop.value
    if gap == 0:
        return None
    least = fewest(max_drop) if gap > 0 and drop.method == "newcombe-paired" else None
    if least and comparison.discordance == 0:
        return least
    reach = drop.high - drop.value if gap > 0 else drop.value - drop.low
    return max(math.ceil(drop.samples * (reach / gap) ** 2), least or 2)


def fewest(max_drop: float) -> int | None:
    """The least number of samples with which even an unchanged model can be shown to lose at
    most `max_drop` of a share: the least N with z² / (N + z²) ≤ max_drop. None: no number does.

    Source: Wilson's interval of no event in N, as in `paired_drop`.
    """
    return max(1, math.ceil(Z * Z * (1 - max_drop) / max_drop - 1e-9)) if max_drop > 0 else None


def decidable(samples: int, max_drop: float) -> bool:
    """Whether so many samples can show at all that a share fell by at most `max_drop`."""
    least = fewest(max_drop)
    return least is not None and samples >= least


def _figures(
    values: tuple[Scores | float, Scores | float],
    sides: tuple[Judged, Judged],
    samples: int,
    sign: float,
    clusters: Array | None,
) -> tuple[Estimate, Estimate, Estimate]:
    first, second = values
    shares = _shares(first, second, sign)
    if shares and clusters is None:
        return shares
    drop = np.mean(np.subtract(first, second))  # of the pairs: rounds less than their means
    points = float(np.mean(first)), float(np.mean(second)), sign * float(drop)
    if clusters is None:
        table = resampling.bootstrapped(sides, samples, min(side.resamples for side in sides))
        found = [resampling.bootstrap(*pair, samples) for pair in _columns(points, table, sign)]
    else:
        _check_length(clusters, samples, "clusters")
        most = min(side.resamples for side in sides)
        table = resampling.without_each(sides, clusters, most)
        found = [resampling.jackknife(*pair, samples) for pair in _columns(points, table, sign)]
    if shares:
        found = [_wider(*pair) for pair in zip(found, shares, strict=True)]
    return found[0], found[1], found[2]


def _shares(
    first: Scores | float, second: Scores | float, sign: float
) -> tuple[Estimate, Estimate, Estimate] | None:
    """Figures of scores of 0 and 1; None for others."""
    if isinstance(first, float) or isinstance(second, float):
        return None
    if not (_binary(first) and _binary(second)):
        return None
    better, worse = (first, second) if sign > 0 else (second, first)
    return estimate(first), estimate(second), paired_drop(better, worse)


def _columns(
    points: tuple[float, float, float], table: Scores, sign: float
) -> list[tuple[float, Scores]]:
    before, after = table[:, 0], table[:, 1]
    return list(zip(points, (before, after, sign * (before - after)), strict=True))


def _wider(one: Estimate, other: Estimate) -> Estimate:
    low, high = min(one.low, other.low), max(one.high, other.high)
    return Estimate(one.value, low, high, one.samples, one.method)


def _binary(scores: Scores) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _discordance(sides: tuple[Judged, Judged], outputs: tuple[Outputs, Outputs]) -> float:
    one, two = sides
    if isinstance(one, Parts) and isinstance(two, Parts):
        return float(np.mean(np.any(one.table != two.table, axis=1)))
    before, after = outputs
    same = [np.array_equal(*pair) for pair in zip(*_first(before, after), strict=True)]
    return 1.0 - float(np.mean(same))


def _first(before: Outputs, after: Outputs) -> tuple[Array, Array]:
    name = next(iter(before))
    return before[name], after[name]


def _check_length(values: Array, samples: int, where: str) -> None:
    if values.shape != (samples,):
        raise InvalidInput(
            f"there are {samples} samples, but the groups have the shape {list(values.shape)}",
            where=where,
            hint="give one integer or text a sample",
        )
