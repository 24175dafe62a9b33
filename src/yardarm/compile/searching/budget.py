"""Does a candidate keep within what the project allows?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from yardarm import metrics
from yardarm.errors import BudgetNotMet, Undecided
from yardarm.metrics import Comparison, GroupScore
from yardarm.project import BudgetSection, MetricSection

AIM = 0.01
"""Loss that the search aims at where the project names none: a point of a share."""
ROUNDING = 1e-12  # of the sums behind a drop


@dataclass(frozen=True)
class Figures:
    """What is held against a budget.

    Attributes:
        latency_ms: p99 on a device; None where none was asked, or an emulated one.
    """

    metric: str
    comparison: Comparison
    groups: Sequence[GroupScore]
    size: int
    latency_ms: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What misses the budget for sure, and what the data leave open."""

    missed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def meets(self) -> bool:
        return not self.missed and not self.undecided


def judged(figures: Figures, budget: BudgetSection) -> Verdict:
    """Hold figures against a budget.

    The upper end of the drop's interval has to keep within `max_drop`: a budget is met with
    proof. Without a `max_drop` the measured drop has to be within the search's aim.
    """
    missed = [*_drop_missed(figures, budget), *_others(figures, budget)]
    return Verdict(tuple(missed), tuple(_undecided(figures, budget)) if not missed else ())


def accurate(figures: Figures, budget: BudgetSection) -> bool:
    """Whether accuracy is within the budget, whatever size and latency are."""
    return judged(replace(figures, size=0, latency_ms=None), budget).meets


def aim(budget: BudgetSection) -> float:
    return AIM if budget.max_drop is None else budget.max_drop


def check_decidable(metric: MetricSection, samples: int, budget: BudgetSection) -> None:
    """Raises Undecided where not even an unchanged model could be shown to keep the budget."""
    if metric.name not in ("top1", "threshold") or not budget.max_drop:
        return
    if not metrics.decidable(samples, budget.max_drop):
        raise Undecided(
            f"{samples} evaluation samples can't decide a {points(budget.max_drop)} budget: "
            f"it needs about {metrics.fewest(budget.max_drop):,} samples at the least",
            where="yardarm.toml: budget.max_drop",
            hint="evaluate on more samples, or leave max_drop out to have the drop measured only",
        )


def points(share: float) -> str:
    """A share in points, as people say it: 0.005 is a 0.5-point budget."""
    return f"{share * 100:.3g}-point"


def check(verdict: Verdict) -> None:
    """Raise what a verdict means for a candidate that is to be handed on.

    Raises:
        BudgetNotMet: names every figure that is over, as measured and as allowed.
        Undecided: the evaluation set is too small; says how many samples decide.
    """
    if verdict.missed:
        raise BudgetNotMet(
            "; ".join(verdict.missed),
            where="yardarm.toml: budget",
            hint=_hint(verdict.missed),
        )
    if verdict.undecided:
        raise Undecided(
            "; ".join(verdict.undecided),
            where="yardarm.toml: budget",
            hint="evaluate on more samples",
        )


def _hint(missed: Sequence[str]) -> str:
    if any(" fell by " in each for each in missed):
        return "calibrate with more or more typical samples, or allow more"
    return "allow more: no mix that is exact enough is smaller or faster"


def _drop_missed(figures: Figures, budget: BudgetSection) -> Iterator[str]:
    drop, most = figures.comparison.drop, aim(budget)
    if not drop.value <= most + ROUNDING:
        given = "max_drop is" if budget.max_drop is not None else "the aim without max_drop is"
        yield f"{figures.metric} fell by {_interval(figures.comparison)}, {given} {most:g}"


def _undecided(figures: Figures, budget: BudgetSection) -> Iterator[str]:
    drop = figures.comparison.drop
    if not budget.max_drop or drop.high <= budget.max_drop + ROUNDING:
        return  # that nothing at all was lost no number of samples shows: it is measured only
    enough = metrics.needed(figures.comparison, budget.max_drop)
    more = f"about {enough:,} samples would decide it" if enough else "more samples decide it"
    yield (
        f"{figures.metric} fell by {_interval(figures.comparison)}: {drop.samples:,} samples "
        f"don't show that it is within {budget.max_drop:g}; {more}"
    )


def _others(figures: Figures, budget: BudgetSection) -> Iterator[str]:
    for group in figures.groups if budget.max_group_drop is not None else ():
        if group.drop.value > (budget.max_group_drop or 0) + ROUNDING:
            yield (
                f"{figures.metric} of group {group.group} fell by {group.drop.value:.4f}, "
                f"max_group_drop is {budget.max_group_drop:g}"
            )
    size = figures.size / 1e6
    if budget.max_size_mb is not None and size > budget.max_size_mb:
        yield f"model.onnx has {size:.3f} MB, max_size_mb is {budget.max_size_mb:g}"
    latency, most = figures.latency_ms, budget.max_latency_ms
    if latency is not None and most is not None and latency > most:
        yield f"p99 is {latency:.2f} ms on the device, max_latency_ms is {most:g}"


def _interval(comparison: Comparison) -> str:
    drop = comparison.drop
    return f"{drop.value:.4f} ({drop.low:.4f} to {drop.high:.4f} at 95 %)"


def verdict_of(manifest: Mapping[str, Any]) -> Verdict:
    """Of a bundle that is there already: its figures are in its manifest."""
    return Verdict(tuple(manifest["budget"]["missed"]), tuple(manifest["budget"]["undecided"]))
