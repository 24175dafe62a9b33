"""Histograms and ranges, against what numpy says of the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnxruntime.quantization import calibrate as peer

from small_models import convolutions, images
from yardarm import datasets, events
from yardarm.artifacts import Layout
from yardarm.compile.calibration.calibrate import calibrate
from yardarm.compile.calibration.histogram import FINEST, SIDE, Histogram, Tally
from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.searching.subject import ladders

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
    tally = Tally.of(1)
    for part in parts:
        if part.size:
            tally.add(part[None], np.array([0]), float(np.abs(part).max()))
    return Histogram(tally.exponent, tally.counts[0])


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


def prepared() -> onnx.ModelProto:
    return normalise(convolutions(), 13, 21, {"x:0": images(1, 4)})


def test_extremes_are_exact(tmp_path: Path) -> None:
    x = images(1, 50)
    np.savez(tmp_path / "data.npz", **{"x:0": x})
    seen = calibrate(prepared(), datasets.open_dataset(tmp_path / "data.npz"), STEP)["x:0"]
    assert (seen.low, seen.high) == (float(x.min()), float(x.max()))


def test_tensors_that_turn_infinite_keep_their_nodes_in_fp32(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Log", ["x"], ["l"], name="log"),
        helper.make_node("Add", ["l", "x"], ["s"], name="sum"),
        helper.make_node("Clip", ["s", "low"], ["c"], name="clip"),
        helper.make_node("Add", ["c", "x"], ["y"], name="total"),
    ]
    graph = helper.make_graph(
        nodes,
        "logs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [
            helper.make_tensor("low", TensorProto.FLOAT, [], [-9.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    np.savez(tmp_path / "data.npz", x=np.array([[0, 1], [2, 3]], np.float32))
    dataset = datasets.open_dataset(tmp_path / "data.npz")
    model = normalise(model, 13, 21, next(dataset.batches(2)))
    seen = calibrate(model, dataset, STEP)
    known = {name for name, tensor in seen.items() if tensor.finite}
    assert not seen["l"].finite
    assert list(ladders(model, known - {"s"})) == ["total"]
    assert list(ladders(model, known | {"l", "s"})) == ["sum", "total"]


@pytest.fixture
def hundred(tmp_path: Path) -> datasets.Dataset:
    """Samples that shrink, so that a calibrator that forgets the first ones shows."""
    x = images(1, 100) * np.linspace(5, 0.1, 100, dtype=np.float32)[:, None, None, None]
    np.savez(tmp_path / "data.npz", **{"x:0": x})
    return datasets.open_dataset(tmp_path / "data.npz", Layout(3))


def peer_ranges(
    dataset: datasets.Dataset, folder: Path, method: peer.CalibrationMethod, **options: object
) -> dict[str, tuple[float, float]]:
    class Reader(peer.CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = dataset.batches(dataset.layout.size)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._feeds, None)

    onnx.save(prepared(), folder / "model.onnx")
    calibrator = peer.create_calibrator(
        folder / "model.onnx",
        augmented_model_path=str(folder / "augmented.onnx"),
        calibrate_method=method,
        extra_options=options,
    )
    calibrator.collect_data(Reader())
    found = calibrator.compute_data().data
    return {name: tuple(np.ravel(data.range_value).tolist()) for name, data in found.items()}


def test_extremes_are_those_of_onnxruntime(hundred: datasets.Dataset, tmp_path: Path) -> None:
    seen = calibrate(prepared(), hundred, STEP)
    theirs = peer_ranges(hundred, tmp_path, peer.CalibrationMethod.MinMax)
    assert theirs.keys() >= {"x:0", "c2", "logits", "y"}
    for name, (low, high) in theirs.items():
        # A sum that only a Relu reads is seen as that passes it on.
        below = 0 if name == "n" else low
        assert seen[name].low == pytest.approx(below, rel=1e-4, abs=1e-5)
        assert seen[name].high == pytest.approx(high, rel=1e-4, abs=1e-5)


def test_extremes_differ_where_onnxruntime_forgets_samples(
    hundred: datasets.Dataset, tmp_path: Path
) -> None:
    """Told to hold fewer outputs at a time, it throws full groups of batches away instead of
    merging them: what is reported is the range of the last ones."""
    found = peer_ranges(
        hundred, tmp_path, peer.CalibrationMethod.MinMax, max_intermediate_outputs=11
    )
    assert found["x:0"][1] < 0.99 * calibrate(prepared(), hundred, STEP)["x:0"].high


def test_a_shorter_last_batch_is_a_batch(
    hundred: datasets.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """onnxruntime's symmetric histograms make one array of all batches, which must then be
    of one length: it fails on a last one that is shorter."""
    assert hundred.samples % hundred.layout.size
    with pytest.raises(ValueError, match="inhomogeneous"):
        peer_ranges(hundred, tmp_path, peer.CalibrationMethod.Percentile)
    assert calibrate(prepared(), hundred, STEP)["y"].count == 400
