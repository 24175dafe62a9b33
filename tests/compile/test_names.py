"""Short names change no bit of an answer and lead back to the user's."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto

import odd_models
from int8_graphs import answers, written
from odd_models import TRAPS, feed, held, node, port, unshaped, weights
from yardarm.compile.normalising import graphs
from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.quantization.names import shorten


def named(values: object) -> list[str]:
    return [value.name for value in values]  # type: ignore[attr-defined]


def restored(short: ModelProto, tensors: object, nodes: object) -> list[tuple[str, list[str]]]:
    """Each node's name with what it makes, in the names that the map leads to."""
    return [
        (nodes[each.name], [tensors.get(name, name) for name in each.output])  # type: ignore[index, attr-defined]
        for each in short.graph.node
    ]


def quantized() -> ModelProto:
    """A chain of long names, of which two branches read the same table."""
    nodes = [
        node("Gemm", ["x:0", "first/weights/of/it"], ["first/answer"], name="first/product"),
        node("Relu", ["first/answer"], ["second/answer"], name="second/clamp"),
        node("Gemm", ["second/answer", "last/weights"], ["t0"], name="last/product"),
    ]
    constant = [weights("first/weights/of/it", 8, 8), weights("last/weights", 8, 8)]
    made = odd_models.model(nodes, [port("x:0", "n", 8)], [port("t0", "n", 8)], constant, 13)
    forms = {"first/product": "int8", "last/product": "int8-dynamic"}
    return written(made, forms, feed(made))


@pytest.mark.parametrize("trap", TRAPS)
def test_models_with_short_names_answer_the_same(trap: str) -> None:
    original = TRAPS[trap]()
    sample = feed(original)
    long = normalise(original, 13, 21, sample)
    short, _ = shorten(long)
    assert named(short.graph.input) == named(long.graph.input)
    assert named(short.graph.output) == named(long.graph.output)
    expected, found = answers(long, sample), answers(short, sample)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_an_int8_model_answers_the_same_with_short_names() -> None:
    """Its output has the name that would be the first short one."""
    long = quantized()
    short, names = shorten(long)
    sample = feed(long)
    np.testing.assert_array_equal(answers(long, sample)["t0"], answers(short, sample)["t0"])
    inner = set(named(short.graph.initializer)) | set(graphs.producers(short.graph)) - {"t0"}
    assert max(map(len, inner | set(named(short.graph.node)))) <= 3
    assert set(names.tensors) == inner
    assert restored(short, names.tensors, names.nodes) == [
        (each.name, list(each.output)) for each in long.graph.node
    ]
    assert not short.graph.value_info
    assert named(short.graph.node)[:12] == [f"n{digit}" for digit in "0123456789ab"]


def test_equal_constants_become_one() -> None:
    nodes = [
        node("Add", ["x", "one"], ["a"], name="first"),
        node("Mul", ["a", "two"], ["b"], name="second"),
        node("Sub", ["b", "three"], ["c"], name="third"),
        node("Div", ["c", "default"], ["y"], name="fourth"),
    ]
    equal = [held("one", [3, 4]), held("two", [3, 4]), held("default", [3, 4])]
    constant = [*equal, held("three", [[3, 4]])]
    ports = [port("x", "n", 2), port("default", 2)], [port("y", "n", 2)]
    long = odd_models.model(nodes, *ports, constant, 13)
    short, names = shorten(long)
    kept = {names.tensors.get(name, name) for name in named(short.graph.initializer)}
    assert kept == {"one", "three", "default"}
    sample = {"x": np.array([[1, 2]], np.float32)}
    np.testing.assert_array_equal(answers(short, sample)["y"], answers(long, sample)["y"])
    assert short.graph.node[0].input[1] == short.graph.node[1].input[1]


def test_what_bodies_mention_keeps_its_name() -> None:
    """Also a constant that has a twin outside, and a name that would be a short one."""
    then = [node("Mul", ["outer", "factor"], ["t1"]), node("Neg", ["t1"], ["t2"])]
    other = [node("Div", ["outer", "factor"], ["t3"])]
    bodies = {
        "then_branch": onnx.helper.make_graph(then, "then", [], [unshaped("t2")]),
        "else_branch": onnx.helper.make_graph(other, "other", [], [unshaped("t3")]),
    }
    nodes = [
        node("Mul", ["x", "twin"], ["inner"], name="first"),
        node("Add", ["inner", "inner"], ["outer"], name="second"),
        node("If", ["yes"], ["answer"], name="choice", **bodies),
        node("Neg", ["answer"], ["y"], name="last"),
    ]
    constant = [held("twin", [3, 4]), held("factor", [3, 4]), held("yes", True, np.bool_)]
    long = odd_models.model(nodes, [port("x", "n", 2)], [port("y", "n", 2)], constant, 13)
    short, names = shorten(long)
    assert list(graphs.bodies(short.graph.node[2])) == list(graphs.bodies(long.graph.node[2]))
    assert set(names.tensors.values()) == {"twin", "yes", "inner", "answer"}
    assert not set(names.tensors) & {"t1", "t2", "t3"}
    sample = {"x": np.array([[1, 2]], np.float32)}
    np.testing.assert_array_equal(answers(short, sample)["y"], answers(long, sample)["y"])


def test_exporters_notes_go_and_keep_no_constants_apart() -> None:
    nodes = [node("Add", ["x", "one"], ["a"]), node("Mul", ["a", "two"], ["y"])]
    constant = [held("one", [3, 4]), held("two", [3, 4])]
    long = odd_models.model(nodes, [port("x", "n", 2)], [port("y", "n", 2)], constant, 13)
    for each in (*long.graph.node, *long.graph.initializer):
        each.metadata_props.add(key="where", value=f"a line of somebody's program, at {each.name}")
        each.doc_string = f"somebody's {each.name}"
    short, _ = shorten(long)
    onnx.checker.check_model(short)
    assert b"somebody" not in short.SerializeToString()
    assert len(short.graph.initializer) == 1
