"""Whether the calibration set was large enough, told from one pass."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from yardarm import datasets, events
from yardarm.artifacts import Layout
from yardarm.compile.calibration.audit import audit
from yardarm.compile.calibration.calibrate import calibrate
from yardarm.compile.calibration.observed import Observed
from yardarm.compile.calibration.ranges import RULES
from yardarm.compile.calibration.statistics import statistics
from yardarm.errors import InvalidInput

STEP = events.Step(events.silent, "calibrate")


def seen(rows: np.ndarray, batch: int = 7) -> Observed:
    found = Observed()
    for first in range(0, len(rows), batch):
        found.add(rows[first : first + batch], first)
    return found


def normal(samples: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (samples, 500)).astype(np.float32)


def test_ranges_settle_where_samples_resemble_each_other() -> None:
    told = audit({"t": seen(normal(256))}, {"t": RULES["percentile-99.9"]})
    assert told["enough"] is True
    assert told["samples"] == 256
    assert told["verdict"].startswith("256 samples are enough: no range moves by more than ")
    settling = told["tensors"]["t"]["settling"]
    assert settling.keys() == {"1/8", "1/4", "1/2"}
    assert 0 < settling["1/2"] <= settling["1/8"] < 0.1
    saturation = told["tensors"]["t"]["saturation"]
    assert saturation["used"] == pytest.approx(0.001, rel=0.3)
    assert saturation["held_out"] == pytest.approx(0.001, abs=0.001)
    json.dumps(told, allow_nan=False)


def test_ranges_that_still_move_are_named_with_how_far() -> None:
    rows = normal(64)
    rows[6, 0], rows[7, 0] = 100, -50  # in the other half, and in the held-out eighth
    calm, moving = seen(normal(64)), seen(rows)
    rules = dict.fromkeys(["calm", "moving"], RULES["min-max"])
    told = audit({"calm": calm, "moving": moving}, rules)
    moved = told["tensors"]["moving"]["settling"]["1/2"]
    halves = rows[np.arange(64) % 8 < 4]
    assert moved == pytest.approx((100 - halves.max()) / 150, rel=1e-3)
    assert told["enough"] is False
    assert told["verdict"] == (
        f"64 samples are not enough: the range of moving still moves by {moved:.0%} between"
        " half of them and all (1 of 2 ranges by more than 10%)"
    )


def test_what_is_cut_off_is_counted_on_samples_held_out() -> None:
    rows = np.ones((80, 100), np.float32)
    rows[:, 0] = -1
    rows[7::8, :25] = 3  # every eighth sample is held out
    told = audit({"t": seen(rows)}, {"t": RULES["min-max"]})
    assert told["tensors"]["t"]["saturation"] == {"used": 0, "held_out": 0.25}


def test_the_audit_does_not_depend_on_batches() -> None:
    rows = np.random.default_rng(2).standard_t(2, (70, 400)).astype(np.float32)
    for rule in RULES.values():
        told = [audit({"t": seen(rows, batch)}, {"t": rule}) for batch in (1, 9, 70)]
        assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("samples", [1, 5, 15])
def test_a_handful_of_samples_is_told_as_such(samples: int) -> None:
    told = audit({"t": seen(normal(samples))}, {"t": RULES["least-error"]})
    assert told["enough"] is None
    assert told["verdict"] == f"{samples} samples are too few to tell whether they are enough"


def test_without_ranges_there_is_nothing_to_settle() -> None:
    told = audit({"t": seen(normal(40))}, {})
    assert (told["enough"], told["verdict"], told["tensors"]) == (
        None,
        "no tensor has a range",
        {},
    )


def convolution(bias: float) -> onnx.ModelProto:
    """Three channels, of which the second is below zero whatever comes in, and is cut off."""
    weights = {
        "w": np.array([1, 0.01, -1], np.float32).reshape(3, 1, 1, 1),
        "b": np.array([0, bias, 0], np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("Conv", ["r", "w2"], ["y"]),
        ],
        "dead",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 4, 4])],
        [
            *(numpy_helper.from_array(array, name) for name, array in weights.items()),
            numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w2"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def opened(folder: Path, layout: Layout, **arrays: np.ndarray) -> datasets.Dataset:
    np.savez(folder / "data.npz", **arrays)
    return datasets.open_dataset(folder / "data.npz", layout)


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_dead_channels_are_found(batch: int, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (20, 1, 4, 4)).astype(np.float32)
    arrays = {"x": x if batch else x[:, None]}
    for bias, dead in ((-1.0, {"r": [1]}), (0.0, {})):
        dataset = opened(tmp_path, Layout(batch), **arrays)
        observed = calibrate(convolution(bias), dataset, STEP)
        assert audit(observed, {})["dead"] == dead


def test_the_audit_is_part_of_the_statistics(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (20, 1, 4, 4)).astype(np.float32)
    observed = calibrate(convolution(-1.0), opened(tmp_path, Layout(4), x=x), STEP)
    ranges = {name: RULES["min-max"](seen) for name, seen in observed.items()}
    told = statistics(observed, ranges, ["x"], dict.fromkeys(ranges, RULES["min-max"]))
    assert told["audit"]["dead"] == {"r": [1]}
    assert told["audit"]["tensors"].keys() == {"x", "r", "y"}  # `c` is seen as `r`
    assert told["tensors"]["c"] == told["tensors"]["r"]
    json.dumps(told, allow_nan=False)


def test_samples_that_are_all_the_same_calibrate_nothing(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (1, 1, 4, 4)).astype(np.float32)
    dataset = opened(tmp_path, Layout(4), x=x.repeat(9, axis=0))
    with pytest.raises(InvalidInput, match="all 9 samples are the same") as caught:
        calibrate(convolution(0), dataset, STEP)
    assert caught.value.hint
    assert calibrate(convolution(0), opened(tmp_path, Layout(4), x=x), STEP)


def test_an_input_of_one_value_calibrates_nothing(tmp_path: Path) -> None:
    dataset = opened(tmp_path, Layout(4), x=np.zeros((9, 1, 4, 4), np.float32))
    with pytest.raises(InvalidInput, match=r"data.npz: x: every value is 0") as caught:
        calibrate(convolution(0), dataset, STEP)
    assert "constant_inputs" in caught.value.hint


def with_mask(kind: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["mask"], ["m"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["x", "m"], ["y"]),
        ],
        "masked",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("mask", kind, ["N", 3]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def test_a_mask_of_ones_is_only_noted_and_constants_are_meant(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (9, 3)).astype(np.float32)
    notes: list[str] = []
    step = events.Step(lambda event: notes.append(getattr(event, "text", "")), "calibrate")
    dataset = opened(tmp_path, Layout(4), x=x, mask=np.ones((9, 3), np.int64))
    calibrate(with_mask(TensorProto.INT64), dataset, step)
    assert [note for note in notes if note] == ["mask: every value of the calibration data is 1"]
    ones = np.ones((9, 3), np.float32)
    with pytest.raises(InvalidInput, match="mask: every value is 1"):
        calibrate(with_mask(TensorProto.FLOAT), opened(tmp_path, Layout(9), x=x, mask=ones), STEP)
    declared = opened(tmp_path, Layout(9, constant=frozenset({"mask"})), x=x, mask=ones[:1])
    assert calibrate(with_mask(TensorProto.FLOAT), declared, STEP)["mask"].low == 1
