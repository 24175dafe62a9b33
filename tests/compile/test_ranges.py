"""Ranges, against what comes of rounding to them, and against onnxruntime's calibrators."""

from __future__ import annotations

import contextlib
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization.calibrate import HistogramCollector

from yardarm.compile.calibration import ranges
from yardarm.compile.calibration.observed import Observed

values = st.lists(
    st.floats(-(2.0**127), 2.0**127, width=32, allow_nan=False)
    | st.sampled_from([0.0, -0.0, 1.0, 2.0**60]),
    min_size=1,
    max_size=80,
)


def observed(array: np.ndarray) -> Observed:
    seen = Observed()
    seen.add(array[None], 0)
    return seen


@settings(max_examples=60)
@given(values)
def test_ranges_stay_within_what_was_seen(found: list[float]) -> None:
    array = np.array(found, np.float32)
    seen = observed(array)
    for rule in ranges.RULES.values():
        low, high = rule(seen)
        assert seen.low <= low or low == 0
        assert high <= seen.high or high == 0
    assert ranges.RULES["min-max"](seen) == (seen.low, seen.high)
    largest = max(abs(seen.low), abs(seen.high))
    for rule in ranges.SYMMETRIC.values():
        low, high = rule(seen)
        assert 0 <= -low == high <= largest
    assert ranges.SYMMETRIC["min-max"](seen) == (-largest, largest)


def test_least_error_does_not_overflow() -> None:
    array = np.random.default_rng(1).laplace(0, 1, 4000)
    low, high = ranges.least_error(observed(array))
    far = ranges.least_error(observed(array * 2.0**990))
    assert far == (low * 2.0**990, high * 2.0**990)


def test_a_lone_outlier_does_not_cost_the_others_their_steps() -> None:
    array = np.append(np.random.default_rng(1).normal(0, 1, 4000), 1000).astype(np.float32)
    seen = observed(array)
    assert ranges.min_max(seen)[1] == 1000
    assert ranges.percentile(seen, 0.999)[1] < 5
    # But by squared error one clipped 1000 weighs more than the rounding of all others.
    assert ranges.least_error(seen)[1] > 500


def test_least_error_clips_where_that_pays() -> None:
    array = np.random.default_rng(1).uniform(-1, 1, (1000, 1000)).astype(np.float32)
    array[3, 0] = 8
    seen = Observed()
    seen.add(array, 0)
    assert 1 < ranges.least_error(seen)[1] < 4
    assert rounding_error(array, ranges.least_error(seen)) < 0.8 * rounding_error(
        array, ranges.min_max(seen)
    )


def rounding_error(array: np.ndarray, chosen: ranges.Range) -> float:
    low, high = chosen
    step = (high - low) / 255
    rounded = np.round((np.clip(array, low, high) - low) / step) * step + low
    return float(np.mean((rounded - array) ** 2))


random = np.random.default_rng(1)
SHAPES = {
    "normal": random.normal(size=200_000),
    "long tails": random.standard_t(3, size=200_000),
    "uniform": random.uniform(-1, 1, 200_000),
    "rectified": np.maximum(random.normal(size=200_000), 0),
}
PEER_BINS = 2048


def shaped(name: str) -> np.ndarray:
    """With a power of two as the largest magnitude: onnxruntime's 2,048 bins are then ours."""
    array = SHAPES[name].astype(np.float32)
    return (array / np.abs(array).max() * 4).astype(np.float32)


def in_samples(array: np.ndarray) -> Observed:
    """Few enough values a sample that each is counted."""
    seen = Observed()
    seen.add(array.reshape(-1, 2000), 0)
    return seen


def peer(array: np.ndarray, method: str, bins: int, levels: int, symmetric: bool) -> ranges.Range:
    collector = HistogramCollector(method, symmetric, bins, levels, 99.9, "same")
    with contextlib.redirect_stdout(io.StringIO()):
        collector.collect({"t": array})
        low, high = collector.compute_collection_result()["t"][:2]
    return float(low), float(high)


@pytest.mark.parametrize("name", SHAPES)
def test_percentiles_are_those_of_onnxruntime(name: str) -> None:
    array = shaped(name)
    seen, width = in_samples(array), 8 / PEER_BINS
    theirs = peer(array, "percentile", PEER_BINS, 0, symmetric=False)
    assert ranges.RULES["percentile-99.9"](seen) == pytest.approx(theirs, abs=5 * width)
    # onnxruntime's symmetric range of what is rectified begins at 0, which isn't symmetric.
    _, high = peer(array, "percentile", PEER_BINS // 2, 0, symmetric=True)
    assert ranges.SYMMETRIC["percentile-99.9"](seen)[1] == pytest.approx(high, abs=5 * width)


@pytest.mark.parametrize("name", ["long tails", "uniform", "rectified"])
def test_entropy_is_that_of_onnxruntime_given_bins_enough(name: str) -> None:
    """Within a level's width: onnxruntime's windows are never cut into levels that differ by a
    bin, so what is over at the end has no level at all, and it settles on windows of nearly
    whole levels; ours differ by a bin. It also spreads a level over bins that hold nothing."""
    array = shaped(name)
    low, high = peer(array, "entropy", PEER_BINS, ranges.STEPS, symmetric=True)
    ours = ranges.SYMMETRIC["entropy"](in_samples(array))[1]
    assert ours == pytest.approx(high, abs=8 / ranges.STEPS)
    assert low == pytest.approx(0 if name == "rectified" else -ours, abs=8 / ranges.STEPS)


def test_entropy_by_onnxruntimes_own_default_is_min_max() -> None:
    """128 bins in 128 levels leave a single window to choose from: the whole. Ours has 2,048
    bins a side, and draws the range in."""
    array = shaped("long tails")
    seen = in_samples(array)
    assert peer(array, "entropy", 128, 128, symmetric=False) == ranges.min_max(seen)
    assert ranges.entropy(seen)[1] < 0.5 * seen.high


def test_entropy_is_the_least_divergence_of_all() -> None:
    """Against the definition, bin by bin."""
    seen = in_samples(shaped("long tails"))
    counts = seen.histogram.counts
    starts, ends = np.array([1100, 1700, 1024, 1900]), np.array([3000, 2303, 3073, 2190])
    for start, end, found in zip(
        starts, ends, ranges._divergences(counts, starts, ends), strict=True
    ):
        assert found == pytest.approx(divergence(counts, start, end), rel=1e-9)


def divergence(counts: np.ndarray, start: int, end: int) -> float:
    clipped = counts[start:end].astype(np.float64)
    held = clipped.copy()
    clipped[0] += counts[:start].sum()
    clipped[-1] += counts[end:].sum()
    borders = np.rint(np.linspace(start, end, ranges.STEPS + 1)).astype(int) - start
    spread = np.zeros(len(clipped))
    for left, right in pairwise(borders):
        filled = clipped[left:right] > 0
        if filled.any():
            spread[left:right][filled] = held[left:right].sum() / filled.sum()
    p, q = clipped / clipped.sum(), spread / spread.sum()
    some = p > 0
    with np.errstate(divide="ignore"):  # a window may end in a gap
        return float((p[some] * np.log(p[some] / q[some])).sum())
