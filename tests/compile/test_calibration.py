"""Histograms and ranges, against what numpy says of the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from small_models import convolutions, images
from yardarm import datasets, events
from yardarm.artifacts import Layout
from yardarm.compile import ranges
from yardarm.compile.calibrate import Observed, calibrate
from yardarm.compile.histogram import FINEST, SIDE, Histogram
from yardarm.compile.normalise import normalise
from yardarm.compile.quantize import uncovered

STEP = events.Step(events.silent, "calibrate")
values = st.lists(
    st.floats(-(2.0**127), 2.0**127, width=32, allow_nan=False)
    | st.sampled_from([0.0, -0.0, 1.0, 2.0**60]),
    min_size=1,
    max_size=80,
)

scaled = st.builds(lambda whole, power: whole * 2.0**power, st.integers(-9, 9), st.integers(-9, 9))
batches = st.lists(
    st.lists(scaled, min_size=1, max_size=4) | values.map(lambda found: found[:4]),
    min_size=2,
    max_size=6,
)


def counted(parts: list[np.ndarray]) -> Histogram:
    histogram = Histogram()
    for part in parts:
        if part.size:
            histogram.add(part, float(np.abs(part).max()))
    return histogram


@given(batches)
def test_histograms_do_not_depend_on_batches(found: list[list[float]]) -> None:
    split = [np.array(batch, np.float32) for batch in found]
    whole, parts = counted([np.concatenate(split)]), counted(split)
    assert whole.exponent == parts.exponent
    np.testing.assert_array_equal(whole.counts, parts.counts)


@given(values)
def test_histograms_count_every_value_in_its_bin(found: list[float]) -> None:
    array = np.array(found, np.float32)
    histogram = counted([array])
    largest = float(np.abs(array).max())
    assert largest <= SIDE * 2.0**histogram.exponent
    assert histogram.exponent == FINEST or largest >= SIDE / 2 * 2.0**histogram.exponent
    expected = np.histogram(array.astype(np.float64), histogram.edges)[0]
    expected[-1] -= (array == histogram.edges[-1]).sum()  # numpy's last bin is closed
    np.testing.assert_array_equal(histogram.counts, expected)


def test_quantiles_are_near_the_true_ones() -> None:
    array = np.random.default_rng(1).normal(3, 2, 100_000).astype(np.float32)
    histogram = counted(np.array_split(array, 7))
    for share in (0.001, 0.1, 0.5, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(array, share), abs=0.02)


def observed(array: np.ndarray) -> Observed:
    seen = Observed()
    seen.add(array[None], 1)
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
    seen.add(array, 1000)
    assert 1 < ranges.least_error(seen)[1] < 4
    assert rounding_error(array, ranges.least_error(seen)) < 0.8 * rounding_error(
        array, ranges.min_max(seen)
    )


def rounding_error(array: np.ndarray, chosen: ranges.Range) -> float:
    low, high = chosen
    step = (high - low) / 255
    rounded = np.round((np.clip(array, low, high) - low) / step) * step + low
    return float(np.mean((rounded - array) ** 2))


def prepared() -> onnx.ModelProto:
    return normalise(convolutions(), 13, 21, {"x:0": images(1, 4)})


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_statistics_do_not_depend_on_the_batch(batch: int, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **{"x:0": images(1, 50)})
    dataset = datasets.open_dataset(tmp_path / "data.npz")
    model = prepared()
    sets = [datasets.open_dataset(dataset.file, Layout(size)) for size in (16, batch)]
    one, other = (calibrate(model, each, STEP) for each in sets)
    assert one.keys() == other.keys()
    assert {"x:0", "y", "logits"} <= one.keys()
    for name, seen in one.items():
        assert seen.count == other[name].count
        assert (seen.low, seen.high, seen.mean) == pytest.approx(
            (other[name].low, other[name].high, other[name].mean), rel=1e-4, abs=1e-5
        )
        moved = np.abs(seen.histogram.counts - other[name].histogram.counts).sum()
        # Kernels may round otherwise for another batch, across a bin's edge at most.
        assert moved <= 0.01 * seen.histogram.counts.sum() + 2
    np.testing.assert_array_equal(one["x:0"].histogram.counts, other["x:0"].histogram.counts)


def test_extremes_are_exact(tmp_path: Path) -> None:
    x = images(1, 50)
    np.savez(tmp_path / "data.npz", **{"x:0": x})
    seen = calibrate(prepared(), datasets.open_dataset(tmp_path / "data.npz"), STEP)["x:0"]
    assert (seen.low, seen.high) == (float(x.min()), float(x.max()))


def test_tensors_that_turn_infinite_keep_their_nodes_in_fp32(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Log", ["x"], ["l"], name="log"),
        helper.make_node("Clip", ["l", "low"], ["c"], name="clip"),
        helper.make_node("MatMul", ["c", "w"], ["y"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "logs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [
            helper.make_tensor("low", TensorProto.FLOAT, [], [-9.0]),
            helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    np.savez(tmp_path / "data.npz", x=np.array([[0, 1], [2, 3]], np.float32))
    dataset = datasets.open_dataset(tmp_path / "data.npz")
    model = normalise(model, 13, 21, next(dataset.batches(2)))
    seen = calibrate(model, dataset, STEP)
    known = {name: (0.0, 1.0) for name, tensor in seen.items() if tensor.finite}
    assert not seen["l"].finite
    assert uncovered(model, known) == ["log", "clip"]
