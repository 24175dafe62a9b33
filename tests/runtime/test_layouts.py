"""Models that take samples otherwise than along axis 0, in every verb that feeds them."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

FRAMES, STATE, OUTPUT = "frames", "state", "y"


def model(inputs, output, nodes):
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in inputs.items()
    ]
    ends = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, output)]
    graph = helper.make_graph(nodes, "layouts", values, ends)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


ADDED = [
    helper.make_node("Constant", [], ["axis"], value=onnx.numpy_helper.from_array(np.array(0))),
    helper.make_node("Add", [FRAMES, STATE], ["sum"]),
    helper.make_node("CumSum", ["sum", "axis"], [OUTPUT]),
]


def frames_first(batch):
    """[frames, batch, 2] plus a state [2], summed up along the frames."""
    nodes = [
        helper.make_node("Constant", [], ["axis"], value=onnx.numpy_helper.from_array(np.array(0))),
        *ADDED,
    ]
    shape = [None, batch, 2]
    return model({FRAMES: shape, STATE: [2]}, shape, nodes)


def alone():
    """One sample [frames, 2] without a batch axis, and the state."""
    nodes = [
        helper.make_node("Constant", [], ["axis"], value=onnx.numpy_helper.from_array(np.array(0))),
        *ADDED,
    ]
    return model({FRAMES: [None, 2], STATE: [2]}, [None, 2], nodes)


OPTIONS = {
    "frames first": {
        "batch": 4,
        "constant_inputs": [STATE],
        "input_batch_axis": {FRAMES: 1},
        "output_batch_axis": {OUTPUT: 1},
    },
    "alone": {"batch": 0, "constant_inputs": [STATE]},
}
STATES = np.array([10.0, 20.0], np.float32)
SAMPLES = np.random.default_rng(0).normal(size=(10, 5, 2)).astype(np.float32)
ANSWERS = np.cumsum(SAMPLES + STATES, axis=1)


@pytest.fixture(params=["frames first", "frames first, fixed", "alone"])
def bundle(request, tmp_path):
    kind = request.param.split(",")[0]
    fixed = 3 if "fixed" in request.param else "N"
    made = tmp_path / "bundle"
    made.mkdir()
    onnx.save(alone() if kind == "alone" else frames_first(fixed), made / "model.onnx")
    (made / "manifest.json").write_text(json.dumps({"options": OPTIONS[kind]}))
    np.savez(
        made / "golden.npz",
        **{
            f"input/{FRAMES}": SAMPLES[:5],
            f"input/{STATE}": STATES,
            f"output/{OUTPUT}": ANSWERS[:5],
            f"tolerance/{OUTPUT}": np.array([1e-4, 0.0]),
        },
    )
    return made


@pytest.fixture
def measured(bench, data, tmp_path):
    def run(bundle, arrays):
        np.savez(data, **arrays)
        outcome = bench(bundle, inputs=[FRAMES, STATE], iterations=3, warmup=1, batch=4)
        assert outcome.returncode == 0, outcome.stderr
        with np.load(tmp_path / "out" / "outputs.npz") as outputs:
            return dict(outputs), outcome

    return run


def test_golden_inputs_are_fed_as_the_model_takes_them(bundle, runtime):
    outcome = runtime("golden", "--bundle", bundle)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_a_plan_answers_all_samples_in_their_order(bundle, measured):
    outputs, outcome = measured(bundle, {FRAMES: SAMPLES, STATE: STATES})
    np.testing.assert_allclose(outputs[OUTPUT], ANSWERS, rtol=1e-5)
    told = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [item["done"] for item in told if item["phase"] == "accuracy"][-1] == 10


@pytest.mark.parametrize("bundle", ["alone"], indirect=True)
def test_samples_of_any_length_are_answered(bundle, measured):
    lengths = [3, 1, 5, 5]
    parts = [SAMPLES[number, :length] for number, length in enumerate(lengths)]
    shapes = np.array([part.shape for part in parts])
    flat = np.concatenate([part.ravel() for part in parts])
    arrays = {FRAMES: flat, f"shapes/{FRAMES}": shapes, STATE: STATES}
    outputs, _ = measured(bundle, arrays)
    assert outputs[f"shapes/{OUTPUT}"].tolist() == shapes.tolist()
    wanted = [ANSWERS[number, :length].ravel() for number, length in enumerate(lengths)]
    np.testing.assert_allclose(outputs[OUTPUT], np.concatenate(wanted), rtol=1e-5)


@pytest.mark.parametrize("bundle", ["alone"], indirect=True)
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({f"shapes/{FRAMES}": np.array([[4, 2]])}, "does not fit its shapes"),
        ({f"shapes/{FRAMES}": np.array([[-5, -2]])}, "does not fit its shapes"),
        ({f"shapes/{FRAMES}": np.array([5])}, "does not fit its shapes"),
        ({STATE: STATES[:1]}, "'state' has shape [1]"),
    ],
)
def test_what_does_not_fit_is_told(bundle, bench, data, arrays, message):
    shapes = np.array([[5, 2]])
    held = {FRAMES: np.zeros(10, np.float32), f"shapes/{FRAMES}": shapes, STATE: STATES}
    np.savez(data, **{**held, **arrays})
    outcome = bench(bundle, inputs=[FRAMES, STATE])
    assert outcome.returncode == 3 and message in json.loads(outcome.stderr)["error"]


@pytest.mark.parametrize("text", ["{", "[]", '{"options": {"batch": "many"}}'])
def test_a_manifest_that_cannot_be_read_is_named(make_bundle, runtime, told, text):
    made = make_bundle()
    (made / "manifest.json").write_text(text)
    outcome = runtime("golden", "--bundle", made)
    assert outcome.returncode == 3 and "manifest.json can't be read" in told(outcome)
