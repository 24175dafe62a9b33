"""Operator times: kernels brought back to nodes, conversions to who needs them."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from small_models import convolutions, images
from yardarm.artifacts import Layout
from yardarm.compile.explaining.attribution import Node, attribute, named
from yardarm.compile.explaining.conversions import kernel_forms
from yardarm.compile.explaining.kernels import Kernel, kernels, latencies, medians, profiled
from yardarm.compile.explaining.profiling import Profile, Side, joined, profile
from yardarm.compile.explaining.verdict import verdict

CHAIN = [
    ("first", "Conv", ["x", "w1"], ["a"]),
    ("gate", "Relu", ["a"], ["b"]),
    ("swish", "HardSwish", ["b"], ["c"]),
    ("second", "Conv", ["c", "w2"], ["y"]),
]


def kernel(name: str, op: str, inputs: list[str], outputs: list[str], us: float) -> Kernel:
    return Kernel(name, op, tuple(inputs), tuple(outputs), us)


def model(nodes: list[tuple[str, str, list[str], list[str]]]) -> onnx.ModelProto:
    made = [helper.make_node(op, inputs, outputs, name) for name, op, inputs, outputs in nodes]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    return helper.make_model(helper.make_graph(made, "chain", ends[:1], ends[1:]))


def nodes(chain: list[tuple[str, str, list[str], list[str]]]) -> list[Node]:
    return [Node(name, op, tuple(inputs), tuple(outputs)) for name, op, inputs, outputs in chain]


FP32 = [
    kernel("ReorderInput", "ReorderInput", ["x"], ["r1"], 1),
    kernel("b_nchwc", "Conv", ["r1", "w1r"], ["r2"], 10),
    kernel("ReorderOutput_token_3", "ReorderOutput", ["r2"], ["b"], 2),
    kernel("swish", "HardSwish", ["b"], ["c"], 4),
    kernel("second_token_5", "FusedConv", ["c", "w2"], ["y"], 20),
]

WRITTEN = [
    ("q0", "QuantizeLinear", ["x", "s"], ["xq"]),
    ("d0", "DequantizeLinear", ["xq", "s"], ["xd"]),
    ("dw", "DequantizeLinear", ["w1q", "s"], ["w1d"]),
    ("n1", "Conv", ["xd", "w1d"], ["t1"]),
    ("q1", "QuantizeLinear", ["t1", "s"], ["bq"]),
    ("d1", "DequantizeLinear", ["bq", "s"], ["bd"]),
    ("n2", "HardSwish", ["bd"], ["t2"]),
    ("q2", "QuantizeLinear", ["t2", "s"], ["cq"]),
    ("d2", "DequantizeLinear", ["cq", "s"], ["cd"]),
    ("d3", "DequantizeLinear", ["w2q", "s"], ["w2d"]),
    ("n3", "Conv", ["cd", "w2d"], ["t3"]),
    ("q3", "QuantizeLinear", ["t3", "s"], ["yq"]),
    ("d4", "DequantizeLinear", ["yq", "s"], ["y"]),
]
NAMES = {
    "nodes": {"n1": "first", "n2": "swish", "n3": "second"},
    "tensors": {"t1": "b", "t2": "c"},
}
INT8 = [
    kernel("q0", "QuantizeLinear", ["x", "s"], ["xq"], 3),
    kernel("n1_token_1", "QLinearConv", ["xq", "s", "w1q", "s"], ["bq"], 6),
    kernel("d1", "DequantizeLinear", ["bq", "s"], ["bd"], 5),
    kernel("n2", "HardSwish", ["bd"], ["t2"], 4),
    kernel("q2", "QuantizeLinear", ["t2", "s"], ["cq"], 7),
    kernel("d2", "DequantizeLinear", ["cq", "s"], ["cd"], 8),
    kernel("d3", "DequantizeLinear", ["w2q", "s"], ["w2d"], 9),
    kernel("n3", "Conv", ["cd", "w2d"], ["t3"], 21),
    kernel("q3", "QuantizeLinear", ["t3", "s"], ["yq"], 2),
    kernel("d4", "DequantizeLinear", ["yq", "s"], ["y"], 1),
]


@pytest.fixture
def laid() -> Profile:
    return profile(Side(model(CHAIN), FP32), Side(model(WRITTEN), INT8), NAMES)


def test_kernels_stand_for_what_was_fused_and_renamed() -> None:
    assert attribute(FP32, nodes(CHAIN)) == {
        "ReorderInput": ("first", "gate"),
        "b_nchwc": ("first", "gate"),
        "ReorderOutput_token_3": ("first", "gate"),
        "swish": ("swish",),
        "second_token_5": ("second",),
    }


def test_conversions_are_charged_to_the_node_that_needs_them(laid: Profile) -> None:
    found = {
        cost.nodes: (cost.runs, cost.fp32_us, cost.compute_us, cost.convert_us, cost.unpack_us)
        for cost in laid.costs
    }
    assert found == {
        ("first", "gate"): ("int8", 13, 6, 3, 0),
        ("swish",): ("fp32", 4, 4, 12, 0),
        ("second",): ("fp32", 20, 21, 11, 9),
    }


def test_no_time_is_lost_and_the_dearest_come_first(laid: Profile) -> None:
    assert sum(cost.written_us for cost in laid.costs) == sum(k.us for k in INT8)
    assert sum(cost.fp32_us for cost in laid.costs) == sum(k.us for k in FP32)
    assert [cost.nodes[0] for cost in laid.costs] == ["second", "swish", "first"]


def test_an_activation_that_a_range_took_over_goes_with_the_node_before_it() -> None:
    chain = [*CHAIN[:2], ("second", "Conv", ["b", "w2"], ["y"])]
    written = [
        ("first", "Conv", ["x", "w1"], ["a8"]),
        ("second", "Conv", ["a8", "w2"], ["y"]),
    ]
    times = [kernel(name, op, inputs, outputs, 1) for name, op, inputs, outputs in written]
    before = [kernel(name, op, inputs, outputs, 1) for name, op, inputs, outputs in chain]
    costs = profile(Side(model(chain), before), Side(model(written), times)).costs
    assert {cost.nodes for cost in costs} == {("first", "gate"), ("second",)}


def test_nodes_get_back_their_own_names() -> None:
    short = model([("t0", "Conv", ["x", "w"], ["t0"]), ("", "Relu", ["t0"], ["y"])])
    names = [node.name for node in named(short, {"t0": "/features/Conv"}).graph.node]
    assert names == ["/features/Conv", "Relu:1"]
    twice = model([("same", "Relu", ["x"], ["a"]), ("same", "Relu", ["a"], ["y"])])
    assert [node.name for node in named(twice).graph.node] == ["same", "same:1"]
    assert [node.name for node in twice.graph.node] == ["same", "same"], "a copy"


def test_an_island_is_fp32_that_int8_leaves_and_enters_again(laid: Profile) -> None:
    assert [(i.nodes, i.compute_us, i.convert_us) for i in laid.islands] == [
        (("swish",), 4, 12),
        (("second",), 21, 10),
    ]


def test_what_only_moves_int8_values_is_int8() -> None:
    told = kernel_forms(
        [
            kernel("q", "QuantizeLinear", ["x"], ["a"], 1),
            kernel("pool", "MaxPool", ["a"], ["b"], 1),
            kernel("product", "MatMulInteger", ["b", "w"], ["c"], 1),
            kernel("cast", "Cast", ["c"], ["d"], 1),
            kernel("scale", "Mul", ["d", "s"], ["e"], 1),
            kernel("whole", "MatMulIntegerToFloat", ["b", "w"], ["f"], 1),
            kernel("relu", "Relu", ["f"], ["g"], 1),
        ]
    )
    assert list(told.values()) == ["convert", "int8", "int8", "int8", "fp32", "int8", "fp32"]


def test_parts_of_a_dynamically_quantized_node_are_one_node() -> None:
    original = [("product", "MatMul", ["x", "w"], ["y"])]
    written = [
        ("a", "DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        ("b", "MatMulInteger", ["xq", "wq", "xz"], ["i"]),
        ("c", "Cast", ["i"], ["f"]),
        ("d", "Mul", ["f", "s"], ["y"]),
    ]
    times = [Kernel(n, op, tuple(i), tuple(o), 1.0) for n, op, i, o in written]
    before = [kernel("product", "MatMul", ["x", "w"], ["y"], 9)]
    (cost,) = profile(Side(model(original), before), Side(model(written), times)).costs
    assert (cost.nodes, cost.runs) == (("product",), "int8")
    assert (cost.fp32_us, cost.compute_us, cost.convert_us) == (9, 3, 1)


def test_groups_join_through_common_members() -> None:
    assert joined("abcde", [{"d", "b"}, set(), {"e"}, {"b", "c"}]) == {
        "a": "a",
        "b": "b",
        "c": "b",
        "d": "b",
        "e": "e",
    }


def test_medians_leave_the_warm_up_out() -> None:
    def event(name: str, dur: int, cat: str = "Node") -> dict[str, object]:
        return {"cat": cat, "name": name, "dur": dur}

    events = [event("a_kernel_time", dur) for dur in (900, 800, 1, 2, 9)]
    events += [event("b_kernel_time", 5), event("a_fence_before", 7)]
    events += [event("model_run", 70, "Session")]
    assert medians(events, warmup=2) == {"a": 2, "b": 5}


def test_what_runs_inside_of_a_node_is_in_its_time() -> None:
    graph = model([("loop", "Loop", ["x"], ["y"])])
    assert [k.name for k in kernels(graph, {"loop": 9.0, "inside": 4.0})] == ["loop"]


def test_nodes_that_came_of_a_function_are_told_by_their_numbers() -> None:
    graph = model(
        [
            ("", "HardSigmoid", ["x"], ["a"]),
            ("", "Mul", ["a", "x"], ["b"]),
            ("named", "Mul", ["b", "b"], ["c"]),
            ("", "Mul", ["c", "c"], ["y"]),
        ]
    )
    times = {"Mul_100": 3.0, "Mul_9": 2.0, "HardSigmoid_8": 1.0, "named": 4.0, "Mul_x": 7.0}
    found = [(k.name, k.outputs, k.us) for k in kernels(graph, times)]
    assert found == [
        ("HardSigmoid_8", ("a",), 1.0),
        ("Mul_9", ("b",), 2.0),
        ("named", ("c",), 4.0),
        ("Mul_100", ("y",), 3.0),
    ]


def test_a_real_function_loses_no_time_and_stays_one_node() -> None:
    chain = [("swish", "HardSwish", ["x"], ["a"]), ("turn", "Neg", ["a"], ["y"])]
    graph = model(chain)
    graph.opset_import[0].version = 14
    graph.ir_version = 8
    whole = onnx.shape_inference.infer_shapes(graph)
    port = whole.graph.input[0].type.tensor_type
    port.shape.CopyFrom(onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension(dim_value=4)]))
    found = profiled(whole, {"x": images(1, 1).ravel()[:4]}, Layout(), runs=2)
    held = attribute(found, nodes(chain))
    assert {kernel.op for kernel in found} >= {"Neg"}
    assert {held[k.name] for k in found if k.op != "Neg"} == {("swish",)}


@pytest.mark.parametrize(
    ("fp32", "written", "words"),
    [
        (
            38,
            66,
            "int8 is 74 % slower than fp32: 53 % of the whole time is converting between int8 and "
            "float around 2 nodes that compute in float (1 Conv, 1 HardSwish).",
        ),
        (38, 114, "int8 takes 3.0 times as long as fp32: 53 % of"),
        (100, 101, "int8 is as fast as fp32: 53 % of"),
        (100, 60, "int8 is 40 % faster than fp32: 53 % of"),
    ],
)
def test_the_verdict_names_the_cause(
    fp32: float, written: float, words: str, laid: Profile
) -> None:
    assert verdict(laid, fp32, written).startswith(words)


def test_the_verdict_names_int8_kernels_that_are_slower() -> None:
    slow = [
        k if k.op != "QLinearConv" else Kernel(k.name, k.op, k.inputs, k.outputs, 500) for k in INT8
    ]
    found = profile(Side(model(CHAIN), FP32), Side(model(WRITTEN), slow), NAMES)
    assert verdict(found, 100, 900) == (
        "int8 takes 9.0 times as long as fp32: "
        "2 nodes compute more slowly in int8 than in float, most of all first."
    )


def test_the_verdict_of_a_model_without_int8() -> None:
    found = profile(Side(model(CHAIN), FP32), Side(model(CHAIN), FP32))
    assert verdict(found, 10, 10) == "int8 is as fast as fp32: no node computes in int8."


def test_a_real_profile_covers_every_node() -> None:
    whole = convolutions(opset=13)
    for number, node in enumerate(whole.graph.node):
        node.name = f"{node.op_type}_{number}"
    feed, layout = {"x:0": images(1, 1)}, Layout()
    found = profiled(whole, feed, layout, runs=2)
    assert all(k.us >= 0 for k in found)
    held = attribute(found, [n for n in nodes_of(whole) if n.op != "Constant"])
    assert {name for names in held.values() for name in names} == {
        node.name for node in whole.graph.node if node.op_type != "Constant"
    }
    assert all(us > 0 for us in latencies([whole, whole], feed, layout, runs=2))


def nodes_of(whole: onnx.ModelProto) -> list[Node]:
    return [Node(n.name, n.op_type, tuple(n.input), tuple(n.output)) for n in whole.graph.node]
