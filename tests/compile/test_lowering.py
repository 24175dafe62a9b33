"""Ways down into older operator sets, as the engines of older JetPacks want it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from yardarm.compile.normalising import lowering, shapes
from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.session import Engine
from yardarm.compile.sources import importing
from yardarm.errors import Unsupported

X = np.random.default_rng(1).normal(0, 1, (2, 6, 8, 8)).astype(np.float32)


def model(
    op: str, opset: int, held: dict[str, np.ndarray], outputs: int = 1, **how: object
) -> ModelProto:
    """One operator, and a sum with what it gets, so that names are shared."""
    made = [f"o{number}" for number in range(outputs)]
    node = helper.make_node(op, ["x", *held], made, "node", **how)
    if "" in held:
        held = {name: values for name, values in held.items() if name}
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x0"], ["x"], "before"), node],
        "g",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [2, 6, 8, 8])],
        [helper.make_empty_tensor_value_info(name) for name in made],
        [numpy_helper.from_array(values, name) for name, values in held.items()],
    )
    for value in graph.output:
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


SIX = np.linspace(0.5, 1.5, 6).astype(np.float32)
CASES = {
    "reduction": (model("ReduceMax", 18, {"axes": whole(2, 3)}), "ReduceMax"),
    "reduction of everything": (model("ReduceMean", 18, {}, keepdims=0), "ReduceMean"),
    "even split": (model("Split", 18, {}, 3, axis=1, num_outputs=3), "Split"),
    "split by lengths": (model("Split", 18, {"parts": whole(2, 4)}, 2, axis=1), "Split"),
    "pad": (model("Pad", 18, {"pads": whole(0, 0, 1, 1, 0, 0, 1, 1)}), "Pad"),
    "pad of some axes": (
        model("Pad", 18, {"pads": whole(1, 2, 3, 4), "v": np.float32(2), "axes": whole(3, 2)}),
        "Pad",
    ),
    "gelu": (model("Gelu", 20, {}), "Erf"),
    "gelu by tanh": (model("Gelu", 20, {}, approximate="tanh"), "Tanh"),
    "mish": (model("Mish", 18, {}), "Softplus"),
    "group norm": (
        model("GroupNormalization", 21, {"s": SIX, "b": -SIX}, num_groups=3),
        "Sqrt",
    ),
    "positions": (
        model("GridSample", 20, {"grid": X[:, :2].transpose(0, 2, 3, 1)}, mode="cubic"),
        "GridSample",
    ),
    "average pool": (model("AveragePool", 22, {}, kernel_shape=[2, 2]), "AveragePool"),
}  # fmt: skip


@pytest.mark.parametrize(("newer", "op"), CASES.values(), ids=CASES)
def test_what_newer_sets_say_otherwise_is_written_as_before(newer: ModelProto, op: str) -> None:
    made = normalise(newer, 13, 17, {"x0": X})
    assert importing.opset(made) == 17
    assert op in {node.op_type for node in made.graph.node}
    for name, values in Engine(newer).run({"x0": X}).items():
        np.testing.assert_allclose(Engine(made).run({"x0": X})[name], values, atol=2e-6)


def test_what_has_no_way_down_is_told() -> None:
    uneven = model("Split", 18, {}, 4, axis=1, num_outputs=4)  # 2, 2, 2 and nothing
    with pytest.raises(Unsupported, match="18 to 17"):
        normalise(uneven, 13, 17, {"x0": X})


def layer_norm() -> ModelProto:
    held = {"s": np.ones(8, np.float32), "b": np.zeros(8, np.float32)}
    return model("LayerNormalization", 17, held, axis=-1)


def test_an_operator_that_the_target_lacks_is_spelled_out() -> None:
    newer = layer_norm()
    had = {"Neg", "ReduceMean", "Sub", "Mul", "Add", "Sqrt", "Div"}
    made = normalise(newer, 13, 17, {"x0": X}, operators=frozenset(had))
    assert "LayerNormalization" not in {node.op_type for node in made.graph.node}
    np.testing.assert_allclose(
        Engine(made).run({"x0": X})["o0"], Engine(newer).run({"x0": X})["o0"], atol=2e-6
    )
    kept = normalise(newer, 13, 17, {"x0": X}, operators=frozenset({*had, "LayerNormalization"}))
    assert "LayerNormalization" in {node.op_type for node in kept.graph.node}


def test_what_is_spelled_out_shows_its_constants_and_casts_nothing_to_itself() -> None:
    words = "Neg ReduceMean Sub Mul Add Sqrt Div Flatten Reshape Shape Concat Slice Cast Size"
    newer = layer_norm()
    newer.graph.node[1].attribute.append(helper.make_attribute("epsilon", 1e-12))
    made = normalise(newer, 13, 17, {"x0": X}, operators=frozenset(words.split()))
    assert "Cast" not in {node.op_type for node in made.graph.node}
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    added = [held[node.input[1]] for node in made.graph.node if node.op_type == "Add"]
    assert np.float32(1e-12) in [values.item() for values in added if values.size == 1]


@pytest.mark.parametrize("axis", [-1, 1, -2])
@pytest.mark.parametrize("biased", [True, False])
def test_a_layer_norm_keeps_its_digits_where_the_mean_is_large(axis: int, biased: bool) -> None:
    shape = X.shape[axis:]
    held = {"s": np.full(shape, 0.5, np.float32), "b": np.full(shape, 2, np.float32)}
    newer = model("LayerNormalization", 17, held, axis=axis, epsilon=1e-3)
    if not biased:
        del newer.graph.node[1].input[2]
    spelled = lowering.spelled_out(
        shapes.inferred(newer), lambda op: op == "LayerNormalization", 17
    )
    assert "LayerNormalization" not in {node.op_type for node in spelled.graph.node}
    far = X + 3000  # the square of the mean has no digits left for a variance of 1
    expected = Engine(newer).run({"x0": far})["o0"]
    np.testing.assert_allclose(Engine(spelled).run({"x0": far})["o0"], expected, atol=2e-3)


def test_two_of_a_kind_share_no_names() -> None:
    newer = layer_norm()
    second = newer.graph.node.add()
    second.CopyFrom(newer.graph.node[1])
    second.name, second.input[0], second.output[0] = "again", "o0", "o1"
    newer.graph.output[0].name = "o1"
    spelled = lowering.spelled_out(newer, lambda op: op == "LayerNormalization", 17)
    made = [name for node in spelled.graph.node for name in node.output]
    assert len(made) == len(set(made))
    np.testing.assert_allclose(
        Engine(spelled).run({"x0": X})["o1"], Engine(newer).run({"x0": X})["o1"], atol=2e-6
    )


def test_only_what_onnx_defines_by_others_counts_as_defined() -> None:
    assert lowering.defined("LayerNormalization")
    assert lowering.defined("Gelu")
    assert not lowering.defined("Conv")
    assert not lowering.defined("Compress")
    assert not lowering.defined("NobodyKnowsThis")
