from __future__ import annotations

import json

import numpy as np
import pytest

from yardarm_runtime.golden import compare

OUTPUT = "y.npy"


def test_a_true_model_passes(make_bundle, runtime):
    outcome = runtime("golden", "--bundle", make_bundle())
    body = json.loads(outcome.stdout)
    assert outcome.returncode == 0 and body["ok"] and outcome.stderr == ""
    assert body["outputs"][OUTPUT]["max_error"] <= body["outputs"][OUTPUT]["allowed"]
    assert body["seconds"] > 0


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_models_of_a_fixed_batch_answer_all_samples(make_bundle, runtime, batch):
    outcome = runtime("golden", "--bundle", make_bundle(batch), "--threads", "2")
    assert outcome.returncode == 0, outcome.stderr


def test_another_answer_fails_with_8(make_bundle, runtime):
    outcome = runtime("golden", "--bundle", make_bundle(shift=0.01))
    body = json.loads(outcome.stdout)
    assert outcome.returncode == 8 and not body["ok"]
    assert body["outputs"][OUTPUT]["max_error"] == pytest.approx(0.01, rel=1e-3)


def _break(bundle, what):
    model, golden = bundle / "model.onnx", bundle / "golden.npz"
    if what == "no bundle":
        model.unlink()
    elif what == "corrupt model":
        model.write_bytes(model.read_bytes()[:60])
    elif what == "no golden":
        golden.unlink()
    elif what == "cut golden":
        golden.write_bytes(golden.read_bytes()[:-40])
    elif what == "damaged golden":
        content = bytearray(golden.read_bytes())
        content[len(content) // 8] ^= 0xFF
        golden.write_bytes(content)
    else:
        arrays = dict(np.load(golden))
        if what == "other input":
            arrays["input/other"] = arrays.pop("input/x/in:0")
        elif what == "no tolerance":
            del arrays["tolerance/y.npy"]
        elif what == "other dtype":
            arrays["input/x/in:0"] = arrays["input/x/in:0"].astype(np.float64)
        elif what == "no samples":
            arrays["input/x/in:0"] = arrays["input/x/in:0"][:0]
        elif what == "pickles":
            arrays["input/x/in:0"] = np.array([{}, {}], object)
        np.savez(golden, **arrays)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no bundle", "there is no model"),
        ("corrupt model", "can't be loaded"),
        ("no golden", "can't be read"),
        ("cut golden", "not a npz archive"),
        ("damaged golden", ""),
        ("other input", "the model takes"),
        ("no tolerance", "don't fit the model"),
        ("other dtype", "is float64, the model takes float32"),
        ("no samples", "no samples"),
        ("pickles", "dtype object"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(make_bundle, runtime, told, what, message):
    bundle = make_bundle()
    _break(bundle, what)
    outcome = runtime("golden", "--bundle", bundle)
    assert outcome.returncode == 3 and outcome.stdout == ""
    assert message in told(outcome)


def test_the_tolerance_is_absolute_plus_relative():
    expected = np.array([[0.0, 100.0]])
    tolerance = np.array([0.1, 0.01])
    assert compare(np.array([[0.1, 101.1]]), expected, tolerance)["ok"]
    assert not compare(np.array([[0.11, 100.0]]), expected, tolerance)["ok"]
    worst = compare(np.array([[0.0, 101.2]]), expected, tolerance)
    assert not worst["ok"]
    assert worst["max_error"] == pytest.approx(1.2) and worst["allowed"] == pytest.approx(1.1)


def test_what_is_not_a_number_is_no_match_unless_expected():
    tolerance = np.array([1.0, 1.0])
    lost = compare(np.array([[np.nan]]), np.array([[1.0]]), tolerance)
    assert lost == {"ok": False, "max_error": None, "allowed": None}
    both = np.array([[np.nan, np.inf, -np.inf]])
    assert compare(both, both.copy(), tolerance)["ok"]
    assert not compare(-both, both, tolerance)["ok"]
    assert not compare(np.zeros((2, 1)), np.zeros((1, 1)), tolerance)["ok"]


def test_unsigned_answers_do_not_wrap():
    worst = compare(np.array([[0]], np.uint8), np.array([[200]], np.uint8), np.array([1.0, 0.0]))
    assert worst == {"ok": False, "max_error": 200.0, "allowed": 1.0}
