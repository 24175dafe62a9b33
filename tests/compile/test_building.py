"""What the manifest tells TensorRT: optimisation profiles, layers, names of axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from yardarm.artifacts import Layout
from yardarm.compile.building import optimisation_profiles, part_axes
from yardarm.datasets import Dataset, Tensor, open_dataset
from yardarm.errors import InvalidInput
from yardarm.project import TensorrtSection

FLOAT = np.dtype(np.float32)
USUAL = TensorrtSection()


def held(folder: Path, layout: Layout, **arrays: np.ndarray) -> list[Dataset]:
    np.savez(folder / "data.npz", **arrays)
    return [open_dataset(folder / "data.npz", layout)] * 2


def test_samples_go_from_one_to_the_batch_and_other_axes_are_as_in_the_data(tmp_path: Path) -> None:
    sets = held(tmp_path, Layout(16), x=np.zeros((5, 3, 7), np.float32))
    found = optimisation_profiles(USUAL, [Tensor("x", FLOAT, (None, 3, None))], sets)
    assert found == {"x": {"min": [1, 3, 7], "opt": [1, 3, 7], "max": [16, 3, 7]}}


def test_a_fixed_input_needs_none(tmp_path: Path) -> None:
    sets = held(tmp_path, Layout(16), x=np.zeros((5, 3), np.float32))
    assert optimisation_profiles(USUAL, [Tensor("x", FLOAT, (1, 3))], sets) == {}


def test_a_fixed_batch_stays(tmp_path: Path) -> None:
    sets = held(tmp_path, Layout(16), x=np.zeros((5, 9), np.float32))
    found = optimisation_profiles(USUAL, [Tensor("x", FLOAT, (2, None))], sets)
    assert found["x"] == {"min": [2, 9], "opt": [2, 9], "max": [2, 9]}


def test_samples_of_unequal_length_tell_the_bounds(tmp_path: Path) -> None:
    (tmp_path / "uneven.py").write_text(
        "import numpy as np\n"
        "def samples():\n"
        "    return [{'x': np.zeros((n, 2), np.float32)} for n in (4, 9, 9, 30)]\n"
    )
    sets = [open_dataset(tmp_path / "uneven:samples", Layout(0))]
    found = optimisation_profiles(USUAL, [Tensor("x", FLOAT, (None, 2))], sets)
    assert found["x"] == {"min": [4, 2], "opt": [9, 2], "max": [30, 2]}


def test_samples_may_lie_on_another_axis_and_constant_inputs_have_none(tmp_path: Path) -> None:
    layout = Layout(8, frozenset({"h"}), {"x": 1})
    arrays = {"x": np.zeros((5, 20, 6), np.float32), "h": np.zeros((2, 4), np.float32)}
    inputs = [Tensor("x", FLOAT, (None, None, 6)), Tensor("h", FLOAT, (None, 4))]
    found = optimisation_profiles(USUAL, inputs, held(tmp_path, layout, **arrays))
    assert found["x"] == {"min": [20, 1, 6], "opt": [20, 1, 6], "max": [20, 8, 6]}
    assert found["h"] == {"min": [2, 4], "opt": [2, 4], "max": [2, 4]}


def test_settings_replace_single_bounds(tmp_path: Path) -> None:
    sets = held(tmp_path, Layout(16), x=np.zeros((5, 3), np.float32))
    section = TensorrtSection(opt_shapes={"x": (4, 3)}, max_shapes={"x": (64, 3)})
    found = optimisation_profiles(section, [Tensor("x", FLOAT, (None, 3))], sets)
    assert found["x"] == {"min": [1, 3], "opt": [4, 3], "max": [64, 3]}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no such input": ({"max_shapes": {"y": (1, 3)}}, "has no input 'y' \\(it has x\\)"),
    "too few axes": ({"max_shapes": {"x": (8,)}}, "don't fit it"),
    "a fixed axis": ({"max_shapes": {"x": (8, 4)}}, "don't fit it"),
    "not growing": ({"opt_shapes": {"x": (32, 3)}}, "opt \\[32, 3\\], max \\[16, 3\\]"),
    "nothing": ({"min_shapes": {"x": (0, 3)}}, "don't fit it"),
}


@pytest.mark.parametrize(("given", "told"), WRONG.values(), ids=WRONG)
def test_settings_that_do_not_fit_are_told(
    given: dict[str, Any], told: str, tmp_path: Path
) -> None:
    sets = held(tmp_path, Layout(16), x=np.zeros((5, 3), np.float32))
    with pytest.raises(InvalidInput, match=told) as caught:
        optimisation_profiles(TensorrtSection(**given), [Tensor("x", FLOAT, (None, 3))], sets)
    assert caught.value.where == "yardarm.toml: tensorrt"


def test_axes_of_one_name_that_differ_in_length_lose_it() -> None:
    """Paddle's exporter calls every open axis "?"; TensorRT takes a name for one length."""
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["?", 3, "?", "same"]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["same"]),
    ]
    graph = helper.make_graph([], "g", inputs, [])
    model = helper.make_model(graph)
    bounds = {"min": [1, 3, 48, 9], "opt": [1, 3, 48, 9], "max": [8, 3, 48, 9]}
    part_axes(model, {"x": bounds, "y": {bound: [9] for bound in bounds}})
    dims = [[d.dim_param for d in v.type.tensor_type.shape.dim] for v in model.graph.input]
    assert dims == [["", "", "", "same"], ["same"]]
