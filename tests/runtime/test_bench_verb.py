from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

INPUT = "x/in:0"


@pytest.mark.parametrize("batch", ["N", 1, 7])
def test_a_run_brings_everything_back_raw(make_bundle, bench, samples, tmp_path, batch):
    bundle, counters = make_bundle(batch), tmp_path / "counters.json"
    outcome = bench(bundle, "--counters", counters)
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads((tmp_path / "out" / "result.json").read_text())
    assert report["schema"] == "yardarm.run/1" and report["plan"]["iterations"] == 50
    assert all(report["cold"][key] > 0 for key in ("import_ms", "load_ms", "first_ms"))
    assert 0 < report["floor_ns"] < 100_000
    assert report["environment"]["before"]["t"] < report["environment"]["after"]["t"]
    assert json.loads(counters.read_text())["latency_us"]["count"] == 50

    table = np.load(tmp_path / "out" / "samples.npy")
    assert table.dtype == np.int64 and table.shape == (50, 2)
    starts, durations = table.T
    assert starts[0] == 0 and (durations > 0).all()
    assert (starts[1:] >= (starts + durations)[:-1]).all()

    with np.load(tmp_path / "out" / "outputs.npz") as outputs:
        (name,) = outputs.files
        bundle_answers = outputs[name]
    weights = onnx.numpy_helper.to_array(onnx.load(bundle / "model.onnx").graph.initializer[0])
    np.testing.assert_allclose(bundle_answers, samples @ weights, atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "outputs.npz", "result.json", "samples.npy",
    ]  # fmt: skip


def test_progress_is_told_per_phase(make_bundle, bench):
    outcome = bench(make_bundle())
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [line["done"] for line in lines if line["phase"] == "accuracy"] == [32, 64, 96, 100]
    timed = [line for line in lines if line["phase"] == "latency"]
    assert timed[-1] == {"done": 50, "total": 50, "phase": "latency"}
    assert lines[: len(timed)] == timed, "latency comes first, while the device is cool"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "yardarm.plan/2"}, "not a yardarm.plan/1"),
        ({"scenario": "offline"}, "'offline'"),
        ({"iterations": 0}, "iterations"),
        ({"warmup": True}, "warmup"),
        ({"batch": "32"}, "batch"),
        ({"inputs": "x"}, "inputs"),
        ({"inputs": ["other"]}, "no array 'other'"),
        ({"inputs": []}, "the model takes"),
    ],
)
def test_a_wrong_plan_is_refused(make_bundle, bench, told, changes, message):
    outcome = bench(make_bundle(), **changes)
    assert outcome.returncode == 3 and message in told(outcome)


@pytest.mark.parametrize("what", ["missing", "not an archive", "wide", "empty", "scalar"])
def test_wrong_data_are_refused(make_bundle, bench, data, told, what):
    data.unlink()
    if what == "not an archive":
        data.write_bytes(b"PK\x03\x04 no")
    elif what != "missing":
        shape = {"wide": (4, 9), "empty": (0, 8), "scalar": ()}[what]
        np.savez(data, **{INPUT: np.zeros(shape, np.float32)})
    outcome = bench(make_bundle())
    assert outcome.returncode == 3 and told(outcome)
    assert not (data.parent / "out" / "result.json").exists()


def test_an_output_whose_axis_0_is_not_the_sample_is_named(make_bundle, bench, told):
    bundle = make_bundle()
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", [INPUT], ["sum"], keepdims=0)],
        "sum",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 8])],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [])],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), bundle / "model.onnx")
    outcome = bench(bundle)
    assert outcome.returncode == 3 and "'sum'" in told(outcome)


def test_outputs_of_changing_size_are_timed_all_the_same(make_bundle, bench, data, told):
    """How much NonZero finds depends on the data: fine for one sample, not to be joined."""
    bundle = make_bundle()
    graph = helper.make_graph(
        [
            helper.make_node("NonZero", [INPUT], ["found"]),
            helper.make_node("Transpose", ["found"], ["turned"]),
            helper.make_node("Unsqueeze", ["turned", "axis"], ["y"]),
        ],
        "nonzero",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1, "found", 2])],
        [onnx.numpy_helper.from_array(np.array([0]), "axis")],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), bundle / "model.onnx")
    values = np.ones((3, 8), np.float32)
    np.savez(data, **{INPUT: values})
    assert bench(bundle).returncode == 0
    values[2, 0] = 0
    np.savez(data, **{INPUT: values})
    outcome = bench(bundle)
    assert outcome.returncode == 3 and "for others" in told(outcome)


def test_a_model_that_fails_only_while_it_is_timed_is_told(make_bundle, bench, data, told):
    """Its output's length is drawn anew in every run, and so leaves the room set aside."""
    bundle = make_bundle()
    graph = helper.make_graph(
        [
            helper.make_node("RandomNormalLike", [INPUT], ["noise"]),
            helper.make_node("Relu", ["noise"], ["half"]),
            helper.make_node("NonZero", ["half"], ["found"]),
            helper.make_node("Unsqueeze", ["found", "axis"], ["y"]),
        ],
        "random",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1, 2, "found"])],
        [onnx.numpy_helper.from_array(np.array([0]), "axis")],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), bundle / "model.onnx")
    np.savez(data, **{INPUT: np.zeros((1, 8), np.float32)})
    outcome = bench(bundle)
    assert outcome.returncode == 3 and "while it was timed" in told(outcome)


def test_columns_first_arrays_are_read_as_they_mean(make_bundle, bench, data, samples):
    np.savez(data, **{INPUT: np.asfortranarray(samples)})
    bundle = make_bundle()
    outcome = bench(bundle)
    assert outcome.returncode == 0, outcome.stderr
    weights = onnx.numpy_helper.to_array(onnx.load(bundle / "model.onnx").graph.initializer[0])
    with np.load(data.parent / "out" / "outputs.npz") as outputs:
        np.testing.assert_allclose(outputs[outputs.files[0]], samples @ weights, atol=1e-5)


def test_a_place_that_cannot_be_written_is_unexpected(make_bundle, bench, told):
    outcome = bench(make_bundle(), "--output", "/proc/none")
    assert outcome.returncode == 1 and told(outcome)
