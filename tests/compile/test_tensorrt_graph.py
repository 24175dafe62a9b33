"""Graphs for TensorRT: its types, its rules for Q and DQ, and how the host answers for it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from int8_graphs import FORMS, answers, constants, error, everything
from int8_graphs import ranges as observed
from yardarm.compile.normalising import graphs, shapes
from yardarm.compile.quantization import halves
from yardarm.compile.quantization.plan import Plan, TensorRt
from yardarm.compile.quantization.quantize import placed, quantize, shipped
from yardarm.compile.searching.subject import ladders
from yardarm.profiles import Quantization

CHOICE = Quantization(symmetric_activations=True)
JETPACK_6, JETPACK_5 = (10, 3), (8, 5)
HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
Feed = dict[str, np.ndarray]


def residual() -> tuple[ModelProto, Feed]:
    """Conv, Relu, Conv, Add with what came before, a product and its bias; opset 19."""
    random = np.random.default_rng(5)
    held = {
        "w1": random.normal(0, 0.3, (8, 3, 3, 3)),
        "b1": random.normal(0, 0.1, 8),
        "w2": random.normal(0, 0.2, (8, 8, 3, 3)) * np.geomspace(0.05, 3, 8)[:, None, None, None],
        "w3": random.normal(0, 0.4, (8, 5)),
        "b3": random.normal(0, 1, 5),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "clamp"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c2", "r1"], ["a"], "sum"),
        helper.make_node("GlobalAveragePool", ["a"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "w3"], ["m"], "product"),
        helper.make_node("Add", ["m", "b3"], ["y"], "bias"),
    ]
    model = built(nodes, held, {"x": ["n", 3, 8, 8]}, {"y": ["n", 5]})
    return model, {"x": random.normal(0, 1, (4, 3, 8, 8)).astype(np.float32)}


def built(
    nodes: list[onnx.NodeProto],
    held: dict[str, np.ndarray],
    inputs: dict[str, list[object]],
    outputs: dict[str, list[object]],
    opset: int = 19,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in held.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return shapes.inferred(helper.make_model(graph, opset_imports=opsets, ir_version=9))


def planned(
    model: ModelProto, feed: Feed, forms: dict[str, str], version: tuple[int, int] = JETPACK_6
) -> Plan:
    seen = observed(model, feed)
    opset = model.opset_import[0].version
    target = TensorRt(version, halves.fit(model, seen, opset), opset)
    chosen = {name: FORMS[form] for name, form in forms.items()}
    return Plan(CHOICE, chosen, seen, tensorrt=target)


def everywhere(model: ModelProto, form: str) -> dict[str, str]:
    return {node.name: form for node in model.graph.node}


MIXED = {"first": "int8", "second": "int8", "product": "int8"}


def mixed(version: tuple[int, int] = JETPACK_6) -> tuple[ModelProto, Plan, Feed]:
    model, feed = residual()
    return model, planned(model, feed, everywhere(model, "fp16") | MIXED, version), feed


def kinds(model: ModelProto) -> dict[str, int]:
    """ONNX's element type of every tensor, as its own inference tells it."""
    return halves.types(onnx.shape_inference.infer_shapes(model, strict_mode=True))


def of(model: ModelProto, op: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == op]


def makers(model: ModelProto) -> dict[str, onnx.NodeProto]:
    return graphs.producers(model.graph)


def test_types_are_float16_inside_and_the_users_outside() -> None:
    model, plan, _ = mixed()
    typed = shipped(model, plan)
    onnx.checker.check_model(typed, full_check=True)
    found = kinds(typed)
    assert found["x"] == found["y"] == FLOAT
    computing = [node for op in ("Conv", "Relu", "Add", "MatMul") for node in of(typed, op)]
    assert {found[node.output[0]] for node in computing} == {HALF}
    assert [node.name for node in typed.graph.node if node.name in everywhere(model, "")] == [
        node.name for node in model.graph.node
    ]


def test_both_inputs_of_a_product_are_quantized_and_no_bias_is() -> None:
    model, plan, _ = mixed()
    typed = shipped(model, plan)
    made, held = makers(typed), constants(typed)
    for node in [*of(typed, "Conv"), *of(typed, "MatMul")]:
        read = made[node.input[0]]
        assert read.op_type == "DequantizeLinear"
        assert made[read.input[0]].op_type == "QuantizeLinear"
        weight = made[node.input[1]]
        weight = made[weight.input[0]] if weight.op_type == "Transpose" else weight
        assert weight.op_type == "DequantizeLinear"
        assert held[weight.input[0]].dtype == np.int8
        assert [a.i for a in weight.attribute if a.name == "axis"] == [0]
        assert held[weight.input[1]].shape == (len(held[weight.input[0]]),)
    (biased,) = [node for node in of(typed, "Conv") if len(node.input) > 2]
    assert held[biased.input[2]].dtype == np.float16
    zeros = [held[name] for name in held if name.endswith("/zero")]
    assert zeros
    assert all(not zero.any() and zero.dtype == np.int8 for zero in zeros)


def test_float8_has_one_scale_a_tensor_and_stands_apart_from_int8() -> None:
    model, feed = residual()
    low = {"first": "fp8", "second": "fp8", "product": "int8"}
    plan = planned(model, feed, everywhere(model, "fp16") | low)
    typed = shipped(model, plan)
    onnx.checker.check_model(typed, full_check=True)
    made, held, found = makers(typed), constants(typed), kinds(typed)
    for node in of(typed, "Conv"):
        read, weight = made[node.input[0]], made[node.input[1]]
        assert {found[read.input[0]], found[weight.input[0]]} == {TensorProto.FLOAT8E4M3FN}
        assert held[weight.input[1]].shape == ()
        assert np.abs(held[weight.input[0]].astype(np.float32)).max() >= 416  # of 448
    (product,) = of(typed, "MatMul")
    assert found[made[product.input[0]].input[0]] == TensorProto.INT8
    (total,) = [node for node in of(typed, "Add") if node.name == "sum"]
    assert found[made[total.input[1]].input[0]] == TensorProto.FLOAT8E4M3FN
    assert 0 < error(answers(model, feed), answers(quantize(model, plan), feed)) < 1e-2
    assert error(answers(quantize(model, plan), feed), answers(typed, feed, literally=True)) < 1e-3


def test_the_other_branch_of_a_sum_is_quantized_and_the_convolutions_own_is_not() -> None:
    model, plan, _ = mixed()
    typed = shipped(model, plan)
    (total,) = [node for node in of(typed, "Add") if node.name == "sum"]
    made = makers(typed)
    assert made[total.input[0]].name == "second"
    assert made[total.input[1]].op_type == "DequantizeLinear"
    assert set(placed(model, plan).pairs) == {"x", "r1", "f"}


def test_nothing_stands_between_a_convolution_and_its_activation() -> None:
    model, plan, _ = mixed()
    typed = shipped(model, plan)
    (relu,) = of(typed, "Relu")
    assert makers(typed)[relu.input[0]].name == "first"


def test_scales_are_of_the_type_that_they_give() -> None:
    model, plan, _ = mixed()
    typed = shipped(model, plan)
    found = kinds(typed)
    for node in of(typed, "DequantizeLinear"):
        assert found[node.input[1]] == found[node.output[0]] == HALF
    # The input is a float32 of the user's: it is quantized as it comes.
    (entry,) = [node for node in of(typed, "QuantizeLinear") if node.input[0] == "x"]
    assert found[entry.input[1]] == FLOAT


def test_below_operator_set_19_int8_ends_in_float32() -> None:
    model, feed = residual()
    model.opset_import[0].version = 17
    plan = planned(model, feed, everywhere(model, "fp16") | MIXED)
    typed = shipped(model, plan)
    found = kinds(typed)
    assert {found[node.output[0]] for node in of(typed, "Conv")} == {FLOAT}
    assert {found[node.output[0]] for node in of(typed, "GlobalAveragePool")} == {HALF}
    assert error(answers(quantize(model, plan), feed), answers(typed, feed)) < 1e-3


def test_a_result_that_float16_does_not_hold_stays_float32_behind_int8_weights() -> None:
    model, feed = residual()
    seen = observed(model, feed) | {"c1": (-1e5, 1e5)}
    fit = halves.fit(model, seen, 19)
    assert {"first", "clamp"} & fit == set()
    plan = Plan(CHOICE, {"first": FORMS["int8"]}, seen, tensorrt=TensorRt(JETPACK_6, fit, 19))
    found = kinds(shipped(model, plan))
    assert found["c1"] == FLOAT


def test_before_tensorrt_10_what_float16_does_not_hold_is_not_quantized() -> None:
    model, feed = residual()
    seen = observed(model, feed) | {"c1": (-1e5, 1e5)}
    fit = halves.fit(model, seen, 17)
    for version, low in ((JETPACK_5, False), (JETPACK_6, True)):
        found = ladders(model, set(seen), TensorRt(version, fit, 17))
        assert (FORMS["int8"] in found.get("first", ())) is low
        assert FORMS["int8"] in found["product"]


def test_before_tensorrt_10_the_graph_is_float32_and_weights_are_quantized_in_it() -> None:
    model, plan, feed = mixed(JETPACK_5)
    weak = shipped(model, plan)
    assert HALF not in kinds(weak).values()
    made, held = makers(weak), constants(weak)
    for node in of(weak, "Conv"):
        weight = made[node.input[1]]
        pair = made[weight.input[0]]
        assert (weight.op_type, pair.op_type) == ("DequantizeLinear", "QuantizeLinear")
        assert held[pair.input[0]].dtype == np.float32
    assert error(answers(quantize(model, plan), feed), answers(weak, feed)) < 1e-3


@pytest.mark.parametrize("version", [JETPACK_5, JETPACK_6], ids=["weak", "strong"])
def test_the_host_answers_nearly_as_the_original(version: tuple[int, int]) -> None:
    model, plan, feed = mixed(version)
    assert 0 < error(answers(model, feed), answers(quantize(model, plan), feed)) < 2e-3
    alone = planned(model, feed, everywhere(model, "fp16"), version)
    assert 0 < error(answers(model, feed), answers(quantize(model, alone), feed)) < 1e-6


def sums(constant: float) -> tuple[ModelProto, Feed]:
    """x + c − c, which loses in float16 what x has beyond the digits of c."""
    nodes = [
        helper.make_node("Add", ["x", "c"], ["s"], "up"),
        helper.make_node("Sub", ["s", "c"], ["y"], "down"),
    ]
    model = built(nodes, {"c": np.array([constant])}, {"x": [3]}, {"y": [3]})
    return model, {"x": np.array([0.2, 1.0, -3.0], np.float32)}


def test_float16_is_rounded_where_the_device_rounds_it() -> None:
    model, feed = sums(1000.0)
    plan = planned(model, feed, everywhere(model, "fp16"))
    found = answers(quantize(model, plan), feed)["y"]
    expected = (feed["x"].astype(np.float16) + np.float16(1000)) - np.float16(1000)
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    # Why the typed file is not what is scored: onnxruntime computes it in float32 on a CPU.
    told = answers(shipped(model, plan), feed)["y"]
    assert abs(told[0] - 0.2) < 1e-3 < abs(expected[0] - 0.2)


def test_a_user_output_in_the_middle_of_the_graph_is_float32() -> None:
    model, feed = sums(3.0)
    model.graph.output.append(helper.make_tensor_value_info("s", FLOAT, [3]))
    plan = planned(model, feed, everywhere(model, "fp16"))
    for written in (shipped(model, plan), quantize(model, plan)):
        onnx.checker.check_model(written, full_check=True)
        found = answers(written, feed)
        assert found["s"].dtype == found["y"].dtype == np.float32
        np.testing.assert_allclose(found["s"], feed["x"] + 3, rtol=2e-3)


def test_bodies_of_control_flow_read_float32() -> None:
    body = helper.make_graph(
        [helper.make_node("Mul", ["s", "s"], ["inner"])],
        "then",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, [3])],
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["s"], ["outer"])],
        "else",
        [],
        [helper.make_tensor_value_info("outer", FLOAT, [3])],
    )
    nodes = [
        helper.make_node("Add", ["x", "c"], ["s"], "up"),
        helper.make_node("ReduceSum", ["s"], ["total"], "total", keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["yes"], "asks"),
        helper.make_node("If", ["yes"], ["y"], "if", then_branch=body, else_branch=other),
    ]
    held = {"c": np.array([1.5]), "zero": np.array(0.0)}
    model = built(nodes, held, {"x": [3]}, {"y": [3]})
    feed = {"x": np.array([0.25, 1.0, 2.0], np.float32)}
    plan = planned(model, feed, {"up": "fp16", "total": "fp16"})
    typed = shipped(model, plan)
    np.testing.assert_allclose(answers(typed, feed)["y"], (feed["x"] + 1.5) ** 2, rtol=2e-3)


def test_a_correction_goes_into_the_bias_in_its_type() -> None:
    model, plan, feed = mixed()
    shift = np.full(8, 0.5, np.float32)
    moved = Plan(plan.choice, plan.forms, plan.ranges, {"second": shift}, plan.tensorrt)
    typed = shipped(model, moved)
    (node,) = [node for node in of(typed, "Conv") if node.name == "second"]
    assert constants(typed)[node.input[2]].dtype == np.float16
    before, after = everything(model, feed), answers(quantize(model, moved), feed)
    assert not np.allclose(before["y"], after["y"], atol=0.05)


HELD = {
    "large weight": ({"c": np.full(3, 7e4)}, False),
    "tiny divisor": ({"c": np.full(3, 1e-7)}, False),
    "usual": ({"c": np.full(3, 0.5)}, True),
    "zeros": ({"c": np.zeros(3)}, True),
    "tiny among many": ({"c": np.geomspace(1e-9, 1, 48).reshape(16, 3)}, True),
}


@pytest.mark.parametrize(("held", "fits"), HELD.values(), ids=HELD)
def test_constants_tell_whether_a_node_can_be_float16(
    held: dict[str, np.ndarray], fits: bool
) -> None:
    node = helper.make_node("Mul", ["x", "c"], ["y"], "n")
    model = built([node], held, {"x": [3]}, {"y": [3] if held["c"].ndim == 1 else [16, 3]})
    assert ("n" in halves.fit(model, {"x": (-1, 1), "y": (-1, 1)}, 19)) is fits


RANGES = {
    "small": ((-3.0, 3.0), True),
    "too large": ((0.0, 70_000.0), False),
    "without headroom": ((-40_000.0, 0.0), False),
    "never seen": (None, False),
}


@pytest.mark.parametrize(("seen", "fits"), RANGES.values(), ids=RANGES)
def test_ranges_tell_whether_a_node_can_be_float16(
    seen: tuple[float, float] | None, fits: bool
) -> None:
    model = built([helper.make_node("Relu", ["x"], ["y"], "n")], {}, {"x": [3]}, {"y": [3]})
    extremes = {"x": (-1.0, 1.0)} | ({"y": seen} if seen else {})
    assert ("n" in halves.fit(model, extremes, 19)) is fits


def test_what_leaves_float16_between_its_layers_stays_float32() -> None:
    """LogSoftmax is a softmax in float16, 0 for a class 20 below the others, and its logarithm."""
    model = built([helper.make_node("LogSoftmax", ["x"], ["y"], "n")], {}, {"x": [3]}, {"y": [3]})
    assert halves.fit(model, {"x": (-20.0, 20.0), "y": (-40.0, 0.0)}, 19) == set()


def test_a_node_beside_a_tensor_of_unknown_type_stays_float32() -> None:
    """Only half of its inputs would become float16."""
    nodes = [
        helper.make_node("Odd", ["x"], ["o"], "odd", domain="of.mine"),
        helper.make_node("Relu", ["x"], ["r"], "clamp"),
        helper.make_node("Add", ["o", "r"], ["y"], "sum"),
    ]
    model = built(nodes, {}, {"x": [3]}, {"y": [3]})
    model.graph.value_info.append(helper.make_tensor_value_info("r", FLOAT, [3]))
    seen = dict.fromkeys(("x", "o", "r", "y"), (-1.0, 1.0))
    assert halves.fit(model, seen, 19) == {"clamp"}


def test_nodes_without_a_float_have_no_choice() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], "shape"),
        helper.make_node("Cast", ["s"], ["f"], "cast", to=FLOAT),
        helper.make_node("ArgMax", ["x"], ["i"], "argmax"),
        helper.make_node("Neg", ["f"], ["y"], "neg"),
    ]
    model = built(nodes, {}, {"x": [3, 3]}, {"y": [2]})
    seen = dict.fromkeys(("x", "f", "y"), (-1.0, 1.0))
    assert halves.fit(model, seen, 19) == {"neg"}


def test_scales_are_rounded_upwards_to_what_float16_holds() -> None:
    scales = np.random.default_rng(0).lognormal(-6, 3, 1000).astype(np.float32)
    found = halves.rounded_up(scales)
    assert (found >= scales).all()
    np.testing.assert_array_equal(found, found.astype(np.float16).astype(np.float32))
    usual = scales > halves.NORMAL
    assert (found[usual] <= scales[usual] * 1.001).all()


def test_ranges_beyond_what_a_scale_in_float16_covers_are_quantized() -> None:
    """9 million is 127 steps of 70,866."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "product")
    weight = np.random.default_rng(0).normal(0, 1, (8, 8))
    model = built([node], {"w": weight}, {"x": [2, 8]}, {"y": [2, 8]})
    feed = {"x": np.random.default_rng(1).uniform(-9e6, 9e6, (2, 8)).astype(np.float32)}
    plan = planned(model, feed, {"product": "int8"})
    onnx.checker.check_model(shipped(model, plan), full_check=True)
    assert 0 < error(answers(model, feed), answers(quantize(model, plan), feed)) < 1e-3
