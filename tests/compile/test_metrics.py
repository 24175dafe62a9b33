"""Scores and intervals, against published figures and against their own definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm import metrics
from yardarm.errors import InvalidInput

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def split(found: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.asarray(found, dtype=np.float64)
    return table[:, 0].copy(), table[:, 1].copy()


def counted(both: int, lost: int, won: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    return split(
        [(True, True)] * both
        + [(True, False)] * lost
        + [(False, True)] * won
        + [(False, False)] * neither
    )


def test_top1_scores_each_sample() -> None:
    outputs = {"aux": np.zeros((3, 9)), "y": np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])}
    labels = np.array([1, 1, 1])
    assert metrics.scores("top1", outputs, labels, "y").tolist() == [1.0, 0.0, 1.0]
    assert metrics.scores("top1", outputs, np.zeros(3, int), None).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("metric", "labels", "output", "message"),
    [
        ("cosine", np.zeros(3, int), "y", "of one shape"),
        ("top1", np.zeros(3, int), "z", "no output 'z'"),
        ("top1", np.zeros(4, int), "y", "one label a sample"),
        ("top1", np.zeros(3), "y", "labels are integers"),
    ],
)
def test_what_cannot_be_scored_is_said(
    metric: str, labels: np.ndarray, output: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        metrics.scores(metric, {"y": np.zeros((3, 2))}, labels, output)


def test_wilson_matches_published_figures() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I.
    assert metrics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert metrics.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert metrics.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert metrics.wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(pairs)
def test_estimate_holds_its_value_within_a_share(found: list[tuple[bool, bool]]) -> None:
    scores, _ = split(found)
    got = metrics.estimate(scores)
    assert 0 <= got.low <= got.value <= got.high <= 1
    assert got.samples == len(scores)


@given(pairs)
def test_drop_is_antisymmetric_and_bounded(found: list[tuple[bool, bool]]) -> None:
    before, after = split(found)
    forth, back = metrics.paired_drop(before, after), metrics.paired_drop(after, before)
    assert forth.value == pytest.approx(before.mean() - after.mean())
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert -1 <= forth.low <= forth.value <= forth.high <= 1


def test_drop_matches_published_figures() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650, table III, method 10.
    first = metrics.paired_drop(*counted(36, 12, 2, 0))
    assert (first.low, first.high) == pytest.approx((0.0569, 0.3404), abs=1e-3)
    second = metrics.paired_drop(*counted(53, 0, 0, 1))
    assert second.low < 0 < second.high


def test_pairs_that_agree_narrow_the_interval() -> None:
    same = metrics.paired_drop(*counted(450, 2, 2, 46))
    shuffled = metrics.paired_drop(*counted(409, 43, 43, 5))
    assert same.high - same.low < (shuffled.high - shuffled.low) / 3


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_interval_covers_the_truth_about_19_times_in_20(share: float) -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        before = (random.random(200) < share).astype(np.float64)
        flip = random.random(200) < 0.1
        after = np.where(flip, 1 - before, before)
        truth = share - (share * 0.9 + (1 - share) * 0.1)
        got = metrics.paired_drop(before, after)
        covered += got.low <= truth <= got.high
    assert 0.92 <= covered / 400 <= 0.99


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_labels_beyond_the_classes_are_an_error_and_not_a_zero(labels: list[int]) -> None:
    with pytest.raises(InvalidInput, match=r"labels run from .* classes 0 to 2"):
        metrics.scores("top1", {"y": np.eye(2, 3)}, np.array(labels), None)
