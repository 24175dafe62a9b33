"""`batch`: every sample of a file answered, and nothing half-written."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

INPUT = "x/in:0"


@pytest.mark.parametrize("batch", ["N", 1, 7])
def test_every_sample_is_answered(make_bundle, runtime, data, samples, batch):
    bundle, target = make_bundle(batch), data.parent / "answers.npz"

    outcome = runtime("batch", "--bundle", bundle, "--data", data, "--output", target)

    assert outcome.returncode == 0, outcome.stderr
    weights = onnx.numpy_helper.to_array(onnx.load(bundle / "model.onnx").graph.initializer[0])
    with np.load(target) as outputs:
        (name,) = outputs.files
        np.testing.assert_allclose(outputs[name], samples @ weights, atol=1e-5)
    assert '"done": 100, "total": 100' in outcome.stdout
    assert not list(data.parent.glob("*.partial"))


def test_data_that_do_not_fit_leave_the_old_answers(make_bundle, runtime, told, tmp_path):
    target = tmp_path / "answers.npz"
    target.write_text("old")
    np.savez(tmp_path / "wrong.npz", **{INPUT: np.zeros((3, 9), np.float32)})

    outcome = runtime(
        *("batch", "--bundle", make_bundle(), "--data", tmp_path / "wrong.npz"),
        *("--output", target),
    )

    assert outcome.returncode == 3
    assert INPUT in told(outcome)
    assert target.read_text() == "old"
    assert not list(tmp_path.glob("*.partial"))


def test_a_folder_that_is_not_there(make_bundle, runtime, told, data, tmp_path):
    words = ("--bundle", make_bundle(), "--data", data, "--output", tmp_path / "no/answers.npz")
    outcome = runtime("batch", *words)
    assert outcome.returncode == 3
    assert "no folder" in told(outcome)
