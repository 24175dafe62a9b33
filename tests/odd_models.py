"""Small models as exporters really write them, one trap each: `TRAPS[name]()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
ODD_INPUT, ODD_OUTPUT = '{"a": 1}', "/a;b:0 "


def node(kind: str, reads: Sequence[str], writes: Sequence[str], **settings: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(reads), list(writes), **settings)


def port(name: str, *shape: int | str | None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def unshaped(name: str, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, None)


def held(name: str, value: Any, kind: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, kind), name)


def weights(name: str, *shape: int) -> onnx.TensorProto:
    seed = sum(name.encode())
    return held(name, np.random.default_rng(seed).normal(0, 0.5, shape))


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
    opset: int = 11,
    *,
    domains: dict[str, int] | None = None,
    **settings: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(constants))
    sets = [helper.make_opsetid("", opset)]
    sets += [helper.make_opsetid(*entry) for entry in (domains or {}).items()]
    return helper.make_model(graph, opset_imports=sets, **({"ir_version": 8} | settings))


def branches() -> onnx.ModelProto:
    """`If` with bodies in the old form of Squeeze, which read the outer graph."""
    squeezed = node("Squeeze", ["same"], ["one"], axes=[1])
    then = helper.make_graph([squeezed], "then", [], [unshaped("one")])
    negated = [node("Squeeze", ["same"], ["two"], axes=[1]), node("Neg", ["two"], ["three"])]
    other = helper.make_graph(negated, "other", [], [unshaped("three")])
    nodes = [
        node("Identity", ["x"], ["same"]),
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["positive"]),
        node("If", ["positive"], ["y"], name="choice", then_branch=then, else_branch=other),
    ]
    return model(nodes, [port("x", "n", 1, 4)], [unshaped("y")], [held("zero", 0)])


def loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            node("Unsqueeze", ["before"], ["wide"], axes=[0]),
            node("Squeeze", ["wide"], ["flat"], axes=[0]),
            node("Add", ["flat", "x"], ["after"]),
            node("Identity", ["go"], ["on"]),
        ],
        "body",
        [
            port("step", kind=TensorProto.INT64),
            port("go", kind=TensorProto.BOOL),
            unshaped("before"),
        ],
        [port("on", kind=TensorProto.BOOL), unshaped("after")],
    )
    nodes = [node("Loop", ["times", "true", "x"], ["y"], name="again", body=body)]
    constants = [held("times", 3, np.int64), held("true", True, np.bool_)]
    return model(nodes, [port("x", "n", 3)], [unshaped("y")], constants)


def functions() -> onnx.ModelProto:
    """A function that calls another one, in domains of their own."""
    twice = helper.make_function(
        "acme",
        "Twice",
        ["a"],
        ["b"],
        [node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 12)],
    )
    inner = [node("Twice", ["a"], ["c"], domain="acme"), node("Squeeze", ["c"], ["b"], axes=[1])]
    sets = [helper.make_opsetid("", 12), helper.make_opsetid("acme", 1)]
    outer = helper.make_function("acme.more", "Flat", ["a"], ["b"], inner, sets)
    return model(
        [node("Flat", ["x"], ["y"], domain="acme.more")],
        [port("x", "n", 1, 4)],
        [port("y", "n", 4)],
        opset=12,
        domains={"acme": 1, "acme.more": 1},
        functions=[twice, outer],
    )


def runtime_operator() -> onnx.ModelProto:
    nodes = [
        node("Squeeze", ["x"], ["flat"], axes=[1]),
        node("Gelu", ["flat"], ["y"], domain="com.microsoft"),
    ]
    return model(nodes, [port("x", "n", 1, 4)], [port("y", "n", 4)], domains={"com.microsoft": 1})


def odd_names() -> onnx.ModelProto:
    nodes = [
        node("MatMul", [ODD_INPUT, " "], ["a/b"]),
        node("Add", ["a/b", "b;:"], ["Identity_0"]),
        node("Identity", ["Identity_0"], [ODD_OUTPUT]),
    ]
    constants = [weights(" ", 4, 3), weights("b;:", 3)]
    return model(nodes, [port(ODD_INPUT, "n", 4)], [port(ODD_OUTPUT, "n", 3)], constants, 9)


def old_file() -> onnx.ModelProto:
    """Initializers that are inputs too, as file format 3 demands."""
    constants = [weights("w", 4, 3)]
    inputs = [port("x", "n", 4), port("w", 4, 3)]
    return model(
        [node("MatMul", ["x", "w"], ["y"])], inputs, [port("y", "n", 3)], constants, 9, ir_version=3
    )


def shared() -> onnx.ModelProto:
    """One bias for three convolutions and an addition, one matrix for Gemm and its transpose."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        node("Conv", ["a", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        node("Conv", ["c", "w", "b"], ["d"], pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", ["d"], ["e"]),
        node("Flatten", ["e"], ["f"]),
        node("Gemm", ["f", "m", "b"], ["g"]),
        node("Gemm", ["g", "m", "b"], ["h"], transB=1),
        node("Mul", ["h", "b"], ["y"]),
    ]
    constants = [weights("w", 3, 3, 3, 3), weights("b", 3), weights("m", 3, 3)]
    return model(nodes, [port("x", "n", 3, 6, 6)], [port("y", "n", 3)], constants, 13)


def leftovers() -> onnx.ModelProto:
    """Identities, dropout, a node that nobody reads, weights that nobody reads."""
    nodes = [
        node("Identity", ["x"], ["a"]),
        node("MatMul", ["a", "w"], ["b"]),
        node("Dropout", ["b"], ["c"], ratio=0.4),
        node("Identity", ["c"], ["d"]),
        node("Relu", ["d"], ["e"]),
        node("Sigmoid", ["d"], ["unread"]),
        node("Identity", ["e"], ["y"]),
        node("Identity", ["e"], ["again"]),
    ]
    constants = [weights("w", 4, 3), weights("lost", 64, 64)]
    return model(
        nodes, [port("x", "n", 4)], [port("y", "n", 3), port("again", "n", 3)], constants, 11
    )


def sparse() -> onnx.ModelProto:
    few = helper.make_sparse_tensor(held("v", [1.5, 2]), held("i", [0, 7], np.int64), [4, 2])
    nodes = [node("Constant", [], ["w"], sparse_value=few), node("MatMul", ["x", "w"], ["y"])]
    return model(nodes, [port("x", "n", 4)], [port("y", "n", 2)])


def old_forms() -> onnx.ModelProto:
    """Operators whose settings later became inputs, and whose meaning changed."""
    nodes = [
        node("Upsample", ["x", "scales"], ["a"], mode="linear"),
        node("Pad", ["a"], ["b"], pads=[0, 0, 1, 0, 0, 0, 0, 1]),
        node("Clip", ["b"], ["c"], min=-1.0, max=1.5),
        node("Slice", ["c"], ["d"], axes=[2], starts=[1], ends=[5]),
        node("ReduceMean", ["d"], ["e"], axes=[3], keepdims=0),
        node("Softmax", ["e"], ["f"], axis=1),
        node("Dropout", ["f"], ["g"]),
        node("TopK", ["g"], ["y", "places"], axis=2, k=2),
    ]
    outputs = [unshaped("y"), unshaped("places", TensorProto.INT64)]
    return model(nodes, [port("x", "n", 2, 3, 4)], outputs, [held("scales", [1, 1, 2, 2])], 9)


def hard_swish(form: str) -> onnx.ModelProto:
    """Convolution and a spelled-out hard-swish: `after`, `before`, `times` or `min`."""
    bounded = {
        "min": [node("Relu", ["s"], ["r"]), node("Min", ["six", "r"], ["k"])],
    }.get(form, [node("Clip", ["s", "zero", "six"], ["k"])])
    ends = {
        "after": [node("Mul", ["a", "k"], ["m"]), node("Div", ["m", "six"], ["y"])],
        "times": [node("Mul", ["k", "a"], ["m"]), node("Mul", ["sixth", "m"], ["y"])],
        "before": [node("Div", ["k", "six"], ["m"]), node("Mul", ["a", "m"], ["y"])],
        "min": [node("Mul", ["k", "sixth"], ["m"]), node("Mul", ["m", "a"], ["y"])],
    }[form]
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Add", ["three", "a"], ["s"]), *bounded, *ends]
    constants = [weights("w", 3, 3, 1, 1), held("three", 3), held("six", [6]), held("zero", 0)]
    constants += [held("sixth", 1 / 6)]
    return model(nodes, [port("x", "n", 3, 4, 4)], [port("y", "n", 3, 4, 4)], constants, 13)


def custom() -> onnx.ModelProto:
    nodes = [node("Relu", ["x"], ["a"]), node("Fancy", ["a"], ["y"], name="here", domain="acme")]
    return model(nodes, [port("x", "n", 4)], [port("y", "n", 4)], domains={"acme": 1})


TRAPS: dict[str, Callable[[], onnx.ModelProto]] = {
    made.__name__: made
    for made in (
        branches,
        loop,
        functions,
        runtime_operator,
        odd_names,
        old_file,
        shared,
        leftovers,
        sparse,
        old_forms,
    )
}


def feed(of: onnx.ModelProto, samples: int = 5) -> dict[str, np.ndarray]:
    """Numbers for every input that no initializer fills."""
    random = np.random.default_rng(5)
    filled = {tensor.name for tensor in of.graph.initializer}
    return {
        value.name: random.normal(
            0, 2, [dim.dim_value or samples for dim in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in of.graph.input
        if value.name not in filled
    }
