"""Every operator in every form that it has: close to fp32, small in the file, and int8 in
onnxruntime's kernels; and what lies between int8 and fp32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from int8_graphs import answers, constants, error, everything, kernels, plan, written
from odd_models import held, model, node, port, unshaped, weights
from yardarm.compile.quantization.forms import Form, ladder
from yardarm.compile.quantization.forms import constants as known
from yardarm.compile.quantization.forms import weights as of_node
from yardarm.compile.quantization.quantize import represented

Feed = dict[str, np.ndarray]
CLOSE = {"int8": 5e-4, "int8-dynamic": 2e-4, "int8-weights": 1e-4}  # of the outputs' mean square


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def graph(
    nodes: Sequence[onnx.NodeProto], feed: Feed, outputs: str, *constant: onnx.TensorProto
) -> ModelProto:
    """A model that takes what is fed; `outputs` are separated by spaces."""
    kinds = {"i": TensorProto.INT64, "f": TensorProto.FLOAT}
    inputs = [port(name, *x.shape, kind=kinds[x.dtype.kind]) for name, x in feed.items()]
    names = outputs.split()
    made = model(nodes, inputs, [unshaped(name) for name in names], constant, 13)
    found = answers(made, feed)
    del made.graph.output[:]
    made.graph.output.extend(port(name, *found[name].shape) for name in names)
    return made


def alone(op: str, feed: Feed, reads: str, *shapes: Sequence[int], **settings: Any) -> Any:
    """One node `n` that reads what is fed, and weights w0, w1, …; with what is fed."""
    made = [weights(f"w{place}", *shape) for place, shape in enumerate(shapes)]
    return graph([node(op, reads.split(), ["y"], name="n", **settings)], feed, "y", *made), feed


def lstm() -> Any:
    """Both directions, with lengths and initial states."""
    feed = {"x": normal(7, 3, 5), "h": normal(2, 3, 6, seed=2), "c": normal(2, 3, 6, seed=3)}
    made = [weights("w", 2, 24, 5), weights("r", 2, 24, 6), weights("b", 2, 48)]
    lengths = held("lengths", [7, 4, 2], np.int32)
    reads, writes = ["x", "w", "r", "b", "lengths", "h", "c"], ["y", "last", "cell"]
    only = node("LSTM", reads, writes, name="n", hidden_size=6, direction="bidirectional")
    return graph([only], feed, "y last cell", *made, lengths), feed


def attention() -> Any:
    """onnxruntime's own operator; the second sequence ends early."""
    feed = {"x": normal(2, 5, 16)}
    made = [weights("w0", 16, 48), weights("w1", 48), held("ends", [5, 3], np.int32)]
    reads = ["x", "w0", "w1", "ends"]
    only = node("Attention", reads, ["y"], name="n", domain="com.microsoft", num_heads=4)
    fused = model([only], [port("x", 2, 5, 16)], [port("y", 2, 5, 16)], made, 13)
    fused.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return fused, feed


image, rows = {"x": normal(2, 4, 8, 8)}, {"x": normal(6, 8)}
pair = {"x": normal(2, 6, 8), "z": normal(2, 6, 8, seed=2)}
steps = {"x": normal(7, 3, 5)}
MODELS: dict[str, Any] = {
    "Conv": alone("Conv", image, "x w0 w1", (8, 4, 3, 3), (8,), pads=[1, 1, 1, 1]),
    "Conv in groups": alone("Conv", image, "x w0 w1", (8, 2, 3, 3), (8,), group=2),
    "Conv by channel": alone("Conv", image, "x w0", (4, 1, 3, 3), group=4),
    "Conv of one axis": alone("Conv", {"x": normal(2, 3, 20)}, "x w0", (8, 3, 5)),
    "ConvTranspose": alone("ConvTranspose", image, "x w0 w1", (4, 8, 3, 3), (8,)),
    "Gemm": alone("Gemm", rows, "x w0 w1", (8, 12), (12,)),
    "Gemm transposed": alone("Gemm", rows, "x w0", (12, 8), transB=1),
    "Gemm with scalars": alone("Gemm", rows, "x w0 w1", (12, 8), (12,), transB=1, alpha=2.0),
    "Gemm, half a bias": alone("Gemm", rows, "x w0 w1", (8, 12), (12,), beta=0.5),
    "Gemm, bias of one": alone("Gemm", rows, "x w0 w1", (8, 12), (1,)),
    "Gemm, bias by rows": alone("Gemm", rows, "x w0 w1", (8, 12), (6, 12)),
    "MatMul": alone("MatMul", pair, "x w0", (8, 12)),
    "MatMul of a stack": alone("MatMul", pair, "x w0", (2, 8, 12)),
    "MatMul of two": alone("MatMul", {**pair, "z": normal(2, 8, 5)}, "x z"),
    "LSTM": alone("LSTM", steps, "x w0 w1", (1, 24, 5), (1, 24, 6), hidden_size=6),
    "LSTM with all": lstm(),
    "GRU": alone("GRU", steps, "x w0 w1", (1, 18, 5), (1, 18, 6), hidden_size=6),
    "RNN": alone("RNN", steps, "x w0 w1", (1, 6, 5), (1, 6, 6), hidden_size=6),
    "Attention": attention(),
    "Gather": alone("Gather", {"i": np.arange(12).reshape(3, 4) % 9}, "w0 i", (9, 6)),
    "Add": alone("Add", pair, "x z"),
    "Mul": alone("Mul", pair, "x z"),
    "Concat": alone("Concat", pair, "x z", axis=1),
    "GlobalAveragePool": alone("GlobalAveragePool", {"x": normal(2, 6, 9, 9) + 1}, "x"),
    "AveragePool": alone("AveragePool", {"x": normal(2, 6, 9, 9)}, "x", kernel_shape=[2, 2]),
}
FUSED = {
    ("Conv", "int8"): "QLinearConv",
    ("Conv in groups", "int8"): "QLinearConv",
    ("Conv by channel", "int8"): "QLinearConv",
    ("Conv of one axis", "int8"): "QLinearConv",
    ("Gemm", "int8"): "QGemm",
    ("Gemm", "int8-dynamic"): "DynamicQuantizeMatMul",
    ("Gemm", "int8-weights"): "MatMulNBits",
    ("Gemm transposed", "int8"): "QGemm",
    ("Gemm transposed", "int8-dynamic"): "DynamicQuantizeMatMul",
    ("Gemm transposed", "int8-weights"): "MatMulNBits",
    ("Gemm, bias of one", "int8"): "QGemm",
    ("MatMul", "int8"): "QLinearMatMul",
    ("MatMul", "int8-dynamic"): "DynamicQuantizeMatMul",
    ("MatMul", "int8-weights"): "MatMulNBits",
    ("MatMul of two", "int8"): "QLinearMatMul",
    ("LSTM", "int8-dynamic"): "DynamicQuantizeLSTM",
    ("Attention", "int8-dynamic"): "QAttention",
    ("Add", "int8"): "QLinearAdd",
    ("Mul", "int8"): "QLinearMul",
    ("Concat", "int8"): "QLinearConcat",
    ("GlobalAveragePool", "int8"): "QLinearGlobalAveragePool",
    ("AveragePool", "int8"): "QLinearAveragePool",
}


def forms(name: str) -> tuple[Form, ...]:
    made = MODELS[name][0]
    return ladder(made.graph.node[0], known(made))[:-1]


@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name in MODELS for form in forms(name)]
)
def test_a_node_in_a_form_answers_nearly_as_in_fp32(name: str, form: Form) -> None:
    original, feed = MODELS[name]
    found = written(original, {"n": form}, feed)
    onnx.checker.check_model(found)
    assert 0 < error(answers(original, feed), answers(found, feed)) < CLOSE[form]
    small = [values.size for values in constants(found).values() if values.dtype == np.int8]
    zeros = [v for v in constants(found).values() if v.dtype == np.int8 and v.ndim < 2 < v.size]
    assert not np.any(zeros)
    for weight in of_node(original.graph.node[0], known(original)):
        assert weight not in constants(found)
        assert constants(original)[weight].size in small


@pytest.mark.parametrize(("name", "form"), FUSED)
def test_onnxruntime_has_an_int8_kernel_for_it(name: str, form: str) -> None:
    original, feed = MODELS[name]
    ran = kernels(written(original, {"n": form}, feed))
    assert ran[FUSED[name, form]] == 1
    assert not ran[original.graph.node[0].op_type]


@pytest.mark.parametrize(
    "choice", [{"per_channel": False}, {"activations": "uint8"}, {"symmetric_activations": True}]
)
@pytest.mark.parametrize("name", ["Conv", "Gemm", "Gemm, bias of one", "MatMul", "Gather"])
def test_every_way_of_quantizing_is_close(name: str, choice: dict[str, Any]) -> None:
    original, feed = MODELS[name]
    for form in forms(name):
        found = written(original, {"n": form}, feed, **choice)
        assert 0 < error(answers(original, feed), answers(found, feed)) < 4 * CLOSE[form]


@pytest.mark.parametrize(
    ("name", "axis", "form"),
    [
        ("Conv", 0, "int8-weights"),
        ("Gemm", 1, "int8-weights"),
        ("Gemm", 1, "int8-dynamic"),
        ("Gemm transposed", 0, "int8-weights"),
        ("Gemm transposed", 0, "int8-dynamic"),
    ],
)
def test_a_small_channel_beside_large_ones_is_as_exact(name: str, axis: int, form: str) -> None:
    original, feed = onnx.ModelProto(), MODELS[name][1]
    original.CopyFrom(MODELS[name][0])
    values = np.moveaxis(constants(original)["w0"].copy(), axis, 0)
    sizes = np.geomspace(0.01, 100, len(values)).reshape(-1, *[1] * (values.ndim - 1))
    original.graph.initializer[0].CopyFrom(held("w0", np.moveaxis(values * sizes, 0, axis)))
    del original.graph.node[0].input[2:]
    before, after = (
        np.moveaxis(answers(each, feed)["y"], 1, 0)
        for each in (original, written(original, {"n": form}, feed))
    )
    for one, other in zip(before, after, strict=True):
        assert error({"y": one}, {"y": other}) < 4 * CLOSE[form]


def reads(written_model: ModelProto) -> dict[str, list[str]]:
    """What each node of the original reads now, by its name."""
    return {each.name: list(each.input) for each in written_model.graph.node}


def chain(*middle: onnx.NodeProto, end: str, outputs: str = "y") -> Any:
    """A Conv `first` from `x` to `a`, nodes, and a Conv `last` from the tensor `end` to `y`."""
    first = node("Conv", ["x", "v"], ["a"], name="first", pads=[1, 1, 1, 1])
    last = node("Conv", [end, "w"], ["y"], name="last")
    held_too = [weights("v", 4, 4, 3, 3), weights("w", 4, 4, 1, 1), held("low", 0), held("high", 1)]
    held_too += [held("below", -1), held("shape", [2, 4, 7, 7], np.int64)]
    return graph([first, *middle, last], image, outputs, *held_too), image


BOTH = {"first": "int8", "last": "int8"}


def test_a_neighbour_in_fp32_reads_the_exact_tensor() -> None:
    original, feed = chain(node("Sigmoid", ["x"], ["s"], name="beside"), end="a", outputs="y s")
    found = answers(written(original, BOTH, feed), feed)
    np.testing.assert_array_equal(found["s"], answers(original, feed)["s"])
    assert not np.array_equal(found["y"], answers(original, feed)["y"])


def test_what_an_int8_kernel_makes_is_read_rounded_by_all() -> None:
    original, feed = chain(node("Sigmoid", ["a"], ["s"], name="behind"), end="a", outputs="y s")
    found = written(original, BOTH, feed)
    assert reads(found)["behind"] == [reads(found)["last"][0]] != ["a"]
    levels = np.unique(everything(found, feed)["a/float"])
    assert len(levels) <= 256 < len(np.unique(everything(original, feed)["a"]))
    assert kernels(found)["QLinearConv"] == 2


@pytest.mark.parametrize(
    ("clamp", "absorbed"),
    [
        (node("Relu", ["a"], ["r"], name="clamp"), True),
        (node("Clip", ["a", "low", "high"], ["r"], name="clamp"), True),
        (node("Clip", ["a", "below", "high"], ["r"], name="clamp"), False),
    ],
    ids=["relu", "clip from 0", "clip from -1"],
)
def test_rounding_takes_in_a_clamp_at_zero(clamp: onnx.NodeProto, absorbed: bool) -> None:
    original, feed = chain(clamp, end="r")
    found = written(original, BOTH, feed)
    assert reads(found)["clamp"][0] == ("a" if absorbed else "a/float")
    assert kernels(found)[clamp.op_type] == (0 if absorbed else 1)
    assert error(answers(original, feed), answers(found, feed)) < 2 * CLOSE["int8"]
    even = written(original, BOTH, feed, symmetric_activations=True)
    assert reads(even)["clamp"][0] == "a/float"  # half of the values would stand for nothing


def test_a_clamp_is_not_taken_in_where_others_read_before_it() -> None:
    middle = [node("Relu", ["a"], ["r"], name="clamp"), node("Neg", ["a"], ["n"], name="other")]
    original, feed = chain(*middle, end="r", outputs="y n")
    found = written(original, BOTH, feed)
    assert reads(found)["clamp"] == reads(found)["other"] == ["a/float"]


def test_values_are_moved_in_int8_between_int8_nodes() -> None:
    moved = [
        node("MaxPool", ["a"], ["m"], name="pool", kernel_shape=[2, 2]),
        node("Transpose", ["m"], ["t"], name="turn", perm=[0, 1, 3, 2]),
        node("Reshape", ["t", "shape"], ["r"], name="shape"),
    ]
    original, feed = chain(*moved, end="r")
    found = written(original, BOTH, feed)
    ran = kernels(found)
    assert (ran["QuantizeLinear"], ran["DequantizeLinear"], ran["QLinearConv"]) == (1, 1, 2)
    chosen = represented(original, plan(original, BOTH, feed))
    assert chosen["a"] == chosen["m"] == chosen["t"] == chosen["r"] != chosen["y"]
    assert error(answers(original, feed), answers(found, feed)) < 2 * CLOSE["int8"]
    alone_in_int8 = written(original, {"first": "int8"}, feed)
    assert reads(alone_in_int8)["pool"] == ["a/float"]
    assert "m/float" not in everything(alone_in_int8, feed)


@pytest.mark.parametrize("name", ["x:0", '{"a": 1}', "a;b/c", " "])
@pytest.mark.parametrize("form", ["int8", "int8-dynamic", "int8-weights"])
def test_inputs_and_outputs_keep_their_names(name: str, form: str) -> None:
    taken, made, further = f"in{name}", f"out{name}", f"end{name}"
    nodes = [
        node("MatMul", [taken, "v"], [made], name="first"),
        node("MatMul", [made, "w"], [further], name="last"),
    ]
    feed = {taken: normal(6, 8)}
    constant = [weights("v", 8, 8), weights("w", 8, 8)]
    original = model(nodes, [port(taken, "n", 8)], [], constant, 13)
    original.graph.output.extend([port(further, "n", 8), port(made, "n", 8)])
    found = written(original, {"first": form, "last": form}, feed)
    onnx.checker.check_model(found)
    assert [value.name for value in found.graph.input] == [taken]
    assert error(answers(original, feed), answers(found, feed)) < 2 * CLOSE[form]
    assert not kernels(found)["MatMul"]


def test_an_output_of_an_fp32_node_is_exact_and_its_int8_reader_reads_a_pair() -> None:
    original, feed = chain(node("Sigmoid", ["a"], ["s"], name="middle"), end="s", outputs="y s")
    found = written(original, {"last": "int8"}, feed)
    np.testing.assert_array_equal(answers(found, feed)["s"], answers(original, feed)["s"])
    assert kernels(found)["QLinearConv"] == 1


def test_shared_weights_are_written_once() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="first"),
        node("Conv", ["a", "w"], ["y"], name="last"),
    ]
    original = graph(nodes, image, "y", weights("w", 4, 4, 3, 3))
    found = written(original, BOTH, image)
    assert [values.shape for values in constants(found).values() if values.ndim == 4] == [
        (4, 4, 3, 3)
    ]
    assert error(answers(original, image), answers(found, image)) < 2 * CLOSE["int8"]


@pytest.mark.parametrize("first", ["int8", "int8-dynamic", "int8-weights", "fp32"])
@pytest.mark.parametrize("last", ["int8", "int8-dynamic", "int8-weights", "fp32"])
def test_nodes_of_different_forms_share_a_tensor(first: str, last: str) -> None:
    """A table that is looked up, and the matrix of two products."""
    feed = {"i": np.arange(6)}
    nodes = [
        node("Gather", ["w", "i"], ["e"], name="table"),
        node("Gemm", ["e", "w"], ["a"], name="first", transB=1),
        node("Gemm", ["a", "w"], ["y"], name="last", transB=1),
    ]
    original = graph(nodes, feed, "y", weights("w", 8, 8))
    found = written(original, {"table": "int8-weights", "first": first, "last": last}, feed)
    onnx.checker.check_model(found)
    assert error(answers(original, feed), answers(found, feed)) < 1e-3


def test_a_bias_may_be_named_after_its_node() -> None:
    nodes = [node("Conv", ["x", "w", "n/bias"], ["y"], name="n")]
    original = graph(nodes, image, "y", weights("w", 8, 4, 3, 3), weights("n/bias", 8))
    for form in ("int8", "int8-weights"):
        onnx.checker.check_model(written(original, {"n": form}, image))


def test_symmetric_activations_have_no_zero_point() -> None:
    original, feed = chain(end="a")

    def zeros(**choice: Any) -> list[int]:
        found = constants(written(original, BOTH, feed, **choice))
        return [int(values) for name, values in found.items() if name.endswith("/zero")]

    assert zeros(symmetric_activations=True) == [0, 0, 0]
    assert any(zeros())


def test_one_dynamic_quantization_serves_all_readers() -> None:
    nodes = [node("MatMul", ["x", w], [f"y{w}"], name=w) for w in "abc"]
    constant = [weights(w, 8, 5) for w in "abc"]
    original = graph(nodes, rows, "ya yb yc", *constant)
    found = written(original, dict.fromkeys("abc", "int8-dynamic"), rows)
    assert [each.op_type for each in found.graph.node].count("DynamicQuantizeLinear") == 1
    assert error(answers(original, rows), answers(found, rows)) < CLOSE["int8-dynamic"]


def test_bodies_keep_what_they_mention() -> None:
    """A constant, an operator of another domain, and a tensor that is made in int8."""
    then = [node("Add", ["a", "c"], ["s"]), node("Gelu", ["s"], ["t"], domain="com.microsoft")]
    bodies = {
        "then_branch": helper.make_graph(then, "then", [], [unshaped("t")]),
        "else_branch": helper.make_graph([node("Neg", ["a"], ["o"])], "other", [], [unshaped("o")]),
    }
    nodes = [
        node("Gemm", ["x", "w"], ["a"], name="n"),
        node("ReduceMax", ["x"], ["most"], name="most", keepdims=0),
        node("Greater", ["most", "zero"], ["yes"], name="yes"),
        node("If", ["yes"], ["y"], name="choice", **bodies),
    ]
    constant = [weights("w", 8, 8), weights("c", 8), held("zero", 0)]
    ports = [port("x", 6, 8)], [port("y", 6, 8)]
    original = model(nodes, *ports, constant, 13, domains={"com.microsoft": 1})
    found = written(original, {"n": "int8"}, rows)
    assert {entry.domain for entry in found.opset_import} == {"", "com.microsoft"}
    assert 0 < error(answers(original, rows), answers(found, rows)) < CLOSE["int8"]
