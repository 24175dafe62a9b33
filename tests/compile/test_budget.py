"""When a budget is met, missed, or left open by the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from yardarm import metrics
from yardarm.compile.searching import budget
from yardarm.compile.searching.budget import Figures, Verdict, accurate, judged
from yardarm.errors import BudgetNotMet, Undecided
from yardarm.metrics import Comparison, GroupScore
from yardarm.project import BudgetSection, MetricSection

TOP1 = MetricSection()


def answers(right: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": np.stack([right, 1 - right], axis=1).astype(np.float32)}


def compared(samples: int, lost: int, won: int = 0) -> Comparison:
    """Of 0/1 scores: 80 % right before; so many lost and won after."""
    before = (np.arange(samples) % 5 > 0).astype(int)
    after = before.copy()
    after[np.flatnonzero(before)[:lost]] = 0
    after[np.flatnonzero(before == 0)[:won]] = 1
    return metrics.compare(TOP1, answers(before), answers(after), np.zeros(samples, np.int64))


def figures(
    comparison: Comparison,
    *,
    groups: Sequence[GroupScore] = (),
    size: int = 1000,
    latency_ms: float | None = None,
) -> Figures:
    return Figures("top1", comparison, groups, size, latency_ms)


def verdict(samples: int, lost: int, **limits: float) -> Verdict:
    return judged(figures(compared(samples, lost)), BudgetSection(**limits))


def test_a_budget_is_met_by_the_upper_end_of_the_interval() -> None:
    """4 of 2000 lost: 0.2 points, at most 0.5 with confidence; as many of 400 leave it open."""
    comparison = compared(2000, 4)
    assert comparison.drop.value < comparison.drop.high < 0.01
    assert verdict(2000, 4, max_drop=0.01).meets
    assert not verdict(2000, 4, max_drop=comparison.drop.high - 1e-6).meets
    assert verdict(2000, 4, max_drop=comparison.drop.high).meets


def test_a_measured_drop_above_the_budget_misses_it() -> None:
    found = verdict(2000, 60, max_drop=0.01)
    assert not found.meets and not found.undecided
    (line,) = found.missed
    assert line.startswith("top1 fell by 0.0300 (0.02")
    assert line.endswith("max_drop is 0.01")


def test_what_the_data_leave_open_is_told_with_a_number_of_samples() -> None:
    found = verdict(400, 2, max_drop=0.01)
    assert not found.meets and not found.missed
    (line,) = found.undecided
    assert "400 samples don't show that it is within 0.01; about " in line
    enough = int(line.split("about ")[1].split(" samples")[0].replace(",", ""))
    assert enough == metrics.needed(compared(400, 2), 0.01)
    assert verdict(enough, round(2 * enough / 400), max_drop=0.01).meets


def test_without_a_budget_the_measured_drop_decides() -> None:
    assert verdict(400, 4).meets
    (line,) = verdict(400, 5).missed
    assert line.endswith("the aim without max_drop is 0.01")


def test_a_budget_of_nothing_is_measured_only() -> None:
    """That nothing at all is lost can't be proved with any number of samples."""
    assert verdict(400, 0, max_drop=0).meets
    assert verdict(400, 1, max_drop=0).missed
    even = judged(figures(compared(400, 3, won=3)), BudgetSection(max_drop=0))
    assert even.meets


def test_nan_misses() -> None:
    broken = compared(100, 0)
    drop = type(broken.drop)(np.nan, np.nan, np.nan, 100, "bootstrap")
    comparison = Comparison(broken.before, broken.after, drop, 0.0)
    assert judged(figures(comparison), BudgetSection()).missed


def test_every_group_is_held_to_its_limit() -> None:
    samples = 900
    before = np.ones(samples, int)
    after = before.copy()
    after[:20] = 0
    people = np.repeat(["anna", "ben", "eve"], 300)
    labels = np.zeros(samples, np.int64)
    groups = metrics.by_group(TOP1, answers(before), answers(after), labels, people)
    comparison = metrics.compare(TOP1, answers(before), answers(after), labels)
    limits = BudgetSection(max_drop=0.05, max_group_drop=0.05)
    (line,) = judged(figures(comparison, groups=groups), limits).missed
    assert line == "top1 of group anna fell by 0.0667, max_group_drop is 0.05"
    assert judged(figures(comparison, groups=groups), BudgetSection(max_drop=0.05)).meets


def test_size_and_latency_have_limits() -> None:
    told = figures(compared(2000, 0), size=1_500_001, latency_ms=20.5)
    limits = BudgetSection(max_size_mb=1.5, max_latency_ms=20)
    assert judged(told, limits).missed == (
        "model.onnx has 1.500 MB, max_size_mb is 1.5",
        "p99 is 20.50 ms on the device, max_latency_ms is 20",
    )
    assert accurate(told, limits)
    assert not accurate(figures(compared(2000, 60)), limits)
    assert judged(figures(compared(2000, 0), size=1_500_000), limits).meets


def test_a_verdict_becomes_the_error_that_says_it() -> None:
    budget.check(Verdict())
    with pytest.raises(BudgetNotMet, match=r"one; two"):
        budget.check(Verdict(("one", "two"), ("three",)))
    with pytest.raises(Undecided, match=r"three"):
        budget.check(Verdict((), ("three",)))


def test_too_few_samples_are_told_before_anything_runs() -> None:
    limits = BudgetSection(max_drop=0.005)
    fewest = metrics.fewest(0.005)
    assert fewest is not None
    budget.check_decidable(TOP1, fewest, limits)
    with pytest.raises(Undecided, match=f"{fewest - 1} evaluation samples can't decide a 0.5-poi"):
        budget.check_decidable(TOP1, fewest - 1, limits)
    budget.check_decidable(TOP1, 1, BudgetSection(max_drop=0))
    budget.check_decidable(MetricSection(name="mse"), 1, limits)
    assert verdict(fewest, 0, max_drop=0.005).meets
