"""By which tensors two models are held against each other."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, helper

from yardarm.compile.searching.witnesses import watched, witnesses


def answered(*nodes: tuple[str, list[str], list[str]]) -> ModelProto:
    """x to y by these nodes."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy"]
    made = [helper.make_node(*node) for node in nodes]
    graph = helper.make_graph(made, "g", ports[:1], ports[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_logits_tell_more_than_probabilities() -> None:
    model = answered(("Neg", ["x"], ["logits"]), ("Softmax", ["logits"], ["y"]))
    assert witnesses(model) == ["logits"]
    assert [value.name for value in watched(model).graph.output] == ["y", "logits"]


def test_an_output_that_a_node_leaves_out_is_none() -> None:
    """As the first one of a recurrence, of which only the last state is wanted."""
    model = answered(("LSTM", ["x", "w", "r"], ["", "state"]), ("Squeeze", ["state"], ["y"]))
    assert witnesses(model) == ["y"]
    assert [value.name for value in watched(model).graph.output] == ["y"]
