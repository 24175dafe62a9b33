from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm.measure import statistics
from yardarm.measure.statistics import PERCENTILES, minimum, percentile, percentiles

SAMPLES = st.lists(st.floats(0, 1e9), min_size=1, max_size=300)


def test_minimum_counts_are_mlperfs():
    expected = {"p90": 64, "p95": 130, "p97": 219, "p99": 662, "p99.9": 6636}
    assert {name: minimum(name) for name in expected} == expected
    assert minimum("p50") == 11


@given(SAMPLES, st.sampled_from(PERCENTILES))
def test_a_percentile_is_the_smallest_sample_that_covers_its_share(samples, name):
    ordered = sorted(samples)
    found = percentile(ordered, name)
    share = statistics.share(name)
    assert found in ordered
    assert Fraction(sum(value <= found for value in ordered), len(ordered)) >= share
    below = sum(value < found for value in ordered)
    assert Fraction(below, len(ordered)) < share


@given(SAMPLES, st.sampled_from(PERCENTILES))
def test_numpy_agrees(samples, name):
    share = statistics.share(name)
    if (share * len(samples)).denominator == 1 and len(samples) % 10 == 0:
        return  # on the boundary numpy's share is a float and may round either way
    theirs = np.percentile(samples, float(share * 100), method="inverted_cdf")
    assert percentile(sorted(samples), name) == theirs


@given(SAMPLES)
def test_they_grow_with_the_share_and_ignore_the_order(samples):
    found = percentiles(samples)
    told = [value for value in found.values() if value is not None]
    assert told == sorted(told)
    assert percentiles(samples[::-1]) == found
    for name, value in found.items():
        assert (value is None) == (len(samples) < minimum(name))


@pytest.mark.parametrize("name", PERCENTILES)
def test_too_few_by_one_is_told_with_what_is_needed(name):
    need = minimum(name)
    assert name not in statistics.insufficient(need)
    assert statistics.insufficient(need - 1)[name] == {"need": need, "have": need - 1}
    assert percentiles([1.0] * (need - 1))[name] is None
    assert percentiles([1.0] * need)[name] == 1.0


def test_no_rounding_error_moves_a_rank():
    """0.999 * 7000 is 6993 exactly, though not in floating point everywhere."""
    ordered = [float(value) for value in range(1, 7001)]
    assert percentile(ordered, "p99.9") == 6993
    assert percentile(ordered, "p50") == 3500
    assert not math.isnan(percentile([5.0], "p99"))
