"""What the manifest tells TensorRT: optimisation profiles, layers, names of axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from yardarm.artifacts import Layout
from yardarm.compile.building import exact_nodes, optimisation_profiles, part_axes
from yardarm.compile.normalising import shapes
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.names import Names
from yardarm.compile.quantization.plan import Plan, TensorRt
from yardarm.datasets import Dataset, Tensor, open_dataset
from yardarm.errors import InvalidInput
from yardarm.profiles import Quantization
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


def branching() -> ModelProto:
    """A product, in int8 or float16, then what has no type to choose but reads floats."""
    kinds = {"x": [2, 8], "y": [2, 8], "z": [2, 8]}
    then, other = (
        helper.make_graph(
            [helper.make_node(op, ["p"], [op], inner)],
            op,
            [],
            [helper.make_tensor_value_info(op, TensorProto.FLOAT, None)],
        )
        for op, inner in (("Neg", "inside"), ("Abs", ""))
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], "product"),
        helper.make_node("ArgMax", ["p"], ["i"], "largest", axis=1),
        helper.make_node("ReduceSum", ["p"], ["s"], "total", keepdims=0),
        helper.make_node("Cast", ["s"], ["b"], "decides", to=TensorProto.BOOL),
        helper.make_node("Shape", ["p"], ["n"], "shape"),
        helper.make_node("If", ["b"], ["y"], "if", then_branch=then, else_branch=other),
    ]
    ports = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in kinds.items()}
    weight = numpy_helper.from_array(np.ones((8, 8), np.float32), "w")
    graph = helper.make_graph(nodes, "g", [ports["x"]], [ports["y"]], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return shapes.inferred(model)


INSIDE_AND_BLIND = {"inside", "decides", "if"}
KEPT = {
    "float16": ({"product", "total"}, {"product": Form.FP16, "total": Form.FP16}, {"largest"}),
    "int8": ({"product", "total"}, {"product": Form.STATIC}, {"largest", "total"}),
    "too large": ({"total"}, {"total": Form.FP16}, {"largest", "product"}),
}


@pytest.mark.parametrize(("fit", "forms", "kept"), KEPT.values(), ids=KEPT)
def test_tensorrt_8_is_told_of_all_that_reads_floats_and_is_not_in_float16(
    fit: set[str], forms: dict[str, Form], kept: set[str]
) -> None:
    """Comparisons and what is inside of If as well: its builder is free with them too."""
    model, target = branching(), TensorRt((8, 5), frozenset(fit), 17)
    names = Names({f"n{place}": node.name for place, node in enumerate(model.graph.node)})
    told = exact_nodes(model, Plan(Quantization(), forms, {}, tensorrt=target), target, names)
    assert {names.nodes.get(name, name) for name in told} == kept | INSIDE_AND_BLIND


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
