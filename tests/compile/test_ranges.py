"""Ranges, against what comes of rounding to them, and against onnxruntime's calibrators."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from yardarm.compile import ranges
from yardarm.compile.observed import Observed

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
