"""Small random graphs with what real ones have: branches, residuals, shared weights, odd names.

`from random_graphs import recipes, grown`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

CLASSES = 4
IDS = 7  # rows of every table, so that an id is 0 to 6
Shape = tuple[int, ...]
"""Without the sample axis, which is the first."""


@dataclass(frozen=True)
class Recipe:
    """What a graph grows from.

    Attributes:
        inputs: kinds: "image" float [3, 8, 8], "vector" float [6], "ids" int64 [5],
            "short ids" int32 [5].
        steps: an operator of `STEPS`, and a number that picks what it is applied to; one that
            fits nothing is left out.
        batch: None: of any length.
        scale: of weights; 1 keeps activations about as large as the inputs.
    """

    opset: int
    inputs: tuple[str, ...]
    steps: tuple[tuple[str, int], ...]
    seed: int
    batch: int | None
    scale: float
    outputs: int
    names: str


@dataclass
class Graph:
    """A graph that grows: tensors so far, and the weights that they took."""

    recipe: Recipe
    random: np.random.Generator
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)
    tensors: dict[str, Shape] = field(default_factory=dict)

    def weight(self, *shape: int, spread: float | None = None) -> str:
        fan_in = int(np.prod(shape[1:])) or 1
        spread = self.recipe.scale / np.sqrt(fan_in) if spread is None else spread
        return self.constant(self.random.normal(0, spread, shape).astype(np.float32))

    def constant(self, values: Any) -> str:
        """An initializer, or now and then a Constant node as some exporters write them."""
        name = f"w{len(self.weights)}{self.recipe.names}{len(self.nodes)}"
        tensor = numpy_helper.from_array(np.asarray(values), name)
        if self.random.random() < 0.2:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.weights.append(tensor)
        return name

    def add(self, op: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}{self.recipe.names}{op}"
        named = f"n{len(self.nodes)}" if self.random.random() < 0.7 else ""
        self.nodes.append(helper.make_node(op, inputs, [name], name=named, **attributes))
        self.tensors[name] = shape
        return name


Step = Callable[[Graph, str, Shape, int], object]


def _convolution(graph: Graph, x: str, shape: Shape, number: int) -> None:
    channels, group = shape[0], shape[0] if number % 3 == 0 else 1
    wide = channels if group > 1 else 4 + number % 3
    kernel = graph.weight(wide, channels // group, 3, 3)
    inputs = [x, kernel] if number % 2 else [x, kernel, graph.weight(wide, spread=0.1)]
    graph.add("Conv", inputs, (wide, *shape[1:]), pads=[1, 1, 1, 1], group=group)


def _gemm(graph: Graph, x: str, shape: Shape, number: int) -> None:
    wide = 5 + number % 4
    turned = number % 2
    kernel = graph.weight(*((wide, shape[0]) if turned else (shape[0], wide)))
    graph.add("Gemm", [x, kernel, graph.weight(wide, spread=0.1)], (wide,), transB=turned)


def _product(graph: Graph, x: str, shape: Shape, number: int) -> None:
    """By a weight, or of a matrix with itself turned, as attention does."""
    if len(shape) == 2 and number % 2:
        turned = graph.add("Transpose", [x], (shape[1], shape[0]), perm=[0, 2, 1])
        graph.add("MatMul", [x, turned], (shape[0], shape[0]))
    else:
        kernel = graph.weight(shape[-1], 6)
        graph.add("MatMul", [x, kernel], (*shape[:-1], 6))


def _pair(op: str) -> Step:
    def step(graph: Graph, x: str, shape: Shape, number: int) -> None:
        others = [name for name, held in graph.tensors.items() if held == shape and name != x]
        if others and number % 3:
            other = others[number % len(others)]
        else:
            other = graph.constant(np.float32(1.5)) if number % 2 else graph.weight(shape[-1])
        graph.add(op, [x, other], shape)

    return step


def _single(op: str) -> Step:
    def step(graph: Graph, x: str, shape: Shape, number: int) -> None:
        graph.add(op, [x], shape)

    return step


def _pool(graph: Graph, x: str, shape: Shape, number: int) -> None:
    if min(shape[1:]) < 2:
        return
    if number % 3 == 0:
        graph.add("GlobalAveragePool", [x], (shape[0], 1, 1))
        return
    half = (shape[0], shape[1] // 2, shape[2] // 2)
    op = "MaxPool" if number % 3 == 1 else "AveragePool"
    graph.add(op, [x], half, kernel_shape=[2, 2], strides=[2, 2])


def _reshape(graph: Graph, x: str, shape: Shape, number: int) -> None:
    whole = int(np.prod(shape))
    new = (whole,) if number % 2 or whole % 2 else (2, whole // 2)
    graph.add("Reshape", [x, graph.constant(np.array([0, *new], np.int64))], new)


def _transpose(graph: Graph, x: str, shape: Shape, number: int) -> None:
    graph.add("Transpose", [x], shape[::-1], perm=[0, *range(len(shape), 0, -1)])


def _concat(graph: Graph, x: str, shape: Shape, number: int) -> None:
    others = [name for name, held in graph.tensors.items() if held[1:] == shape[1:]]
    other = others[number % len(others)]
    joined = (shape[0] + graph.tensors[other][0], *shape[1:])
    if np.prod(joined) < 1000:
        graph.add("Concat", [x, other], joined, axis=1)


def _gather(graph: Graph, x: str, shape: Shape, number: int) -> None:
    chosen = graph.constant(graph.random.integers(0, shape[0], 3))
    graph.add("Gather", [x, chosen], (3, *shape[1:]), axis=1)


def _softmax(graph: Graph, x: str, shape: Shape, number: int) -> None:
    graph.add("Softmax", [x], shape, axis=len(shape))


def _norm(graph: Graph, x: str, shape: Shape, number: int) -> None:
    wide = shape[0]
    gain, variance = (graph.random.uniform(0.5, 2, wide).astype(np.float32) for _ in range(2))
    parts = [gain, graph.random.normal(0, 1, wide).astype(np.float32)]
    parts += [graph.random.normal(0, 1, wide).astype(np.float32), variance]
    graph.add("BatchNormalization", [x, *map(graph.constant, parts)], shape)


STEPS: dict[str, tuple[Step, tuple[int, ...]]] = {
    "Conv": (_convolution, (3,)),
    "Gemm": (_gemm, (1,)),
    "MatMul": (_product, (1, 2, 3)),
    "Add": (_pair("Add"), (1, 2, 3)),
    "Mul": (_pair("Mul"), (1, 2, 3)),
    "Relu": (_single("Relu"), (1, 2, 3)),
    "Sigmoid": (_single("Sigmoid"), (1, 2, 3)),
    "Pool": (_pool, (3,)),
    "Reshape": (_reshape, (1, 2, 3)),
    "Transpose": (_transpose, (2, 3)),
    "Concat": (_concat, (1, 2, 3)),
    "Gather": (_gather, (1, 2, 3)),
    "Softmax": (_softmax, (1, 2, 3)),
    "BatchNormalization": (_norm, (3,)),
}
"""What may be applied, and to how many axes."""
LIKELY = [*STEPS, "Conv", "Conv", "Add"]
INPUTS: dict[str, tuple[int, Shape]] = {
    "image": (TensorProto.FLOAT, (3, 8, 8)),
    "vector": (TensorProto.FLOAT, (6,)),
    "ids": (TensorProto.INT64, (5,)),
    "short ids": (TensorProto.INT32, (5,)),
}


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Graphs of two to nine steps."""
    step = st.tuples(st.sampled_from(LIKELY), st.integers(0, 59))
    return Recipe(
        opset=draw(st.integers(9, 20)),
        inputs=tuple(
            draw(st.lists(st.sampled_from(sorted(INPUTS)), min_size=1, max_size=3, unique=True))
        ),
        steps=tuple(draw(st.lists(step, min_size=2, max_size=9))),
        seed=draw(st.integers(0, 999)),
        batch=draw(st.sampled_from([None, None, 1, 4])),
        scale=draw(st.sampled_from([1.0, 1.0, 0.01, 30.0])),
        outputs=draw(st.integers(1, 2)),
        names=draw(st.sampled_from(["_", "/", ":", ";", '{"a": 1}'])),
    )


def grown(recipe: Recipe) -> ModelProto:
    """The recipe's model. Its first output is `logits` [batch, CLASSES]; a second is the last
    tensor before them."""
    graph = Graph(recipe, np.random.default_rng(recipe.seed))
    length = recipe.batch or "N"
    inputs = []
    for kind in recipe.inputs:
        element, shape = INPUTS[kind]
        inputs.append(helper.make_tensor_value_info(kind, element, [length, *shape]))
        if element == TensorProto.FLOAT:
            graph.tensors[kind] = shape
        else:
            graph.add("Gather", [graph.weight(IDS, 6, spread=1.0), kind], (*shape, 6))
    for op, number in recipe.steps:
        grow, ranks = STEPS[op]
        recent = [name for name, shape in graph.tensors.items() if len(shape) in ranks][-3:]
        if recent:
            name = recent[number % len(recent)]
            grow(graph, name, graph.tensors[name], number)
    last, shape = [*graph.tensors.items()][-1]
    whole = int(np.prod(shape))
    flat = graph.add("Flatten", [last], (whole,), axis=1)
    kernel, bias = graph.weight(whole, CLASSES), graph.weight(CLASSES, spread=0.1)
    graph.nodes.append(helper.make_node("Gemm", [flat, kernel, bias], ["logits"]))
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [length, CLASSES])]
    if recipe.outputs > 1 and last not in recipe.inputs:
        outputs.append(helper.make_tensor_value_info(last, TensorProto.FLOAT, [length, *shape]))
    body = helper.make_graph(graph.nodes, "any", inputs, outputs, graph.weights)
    opsets = [helper.make_opsetid("", recipe.opset)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model


def samples(recipe: Recipe, seed: int, count: int) -> dict[str, np.ndarray]:
    """Inputs for the recipe's model, the sample axis first; bounded, so that a few of them
    show the ranges of all."""
    random = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for kind in recipe.inputs:
        element, shape = INPUTS[kind]
        if element == TensorProto.FLOAT:
            arrays[kind] = random.uniform(-2, 2, (count, *shape)).astype(np.float32)
        else:
            dtype = helper.tensor_dtype_to_np_dtype(element)
            arrays[kind] = random.integers(0, IDS, (count, *shape)).astype(dtype)
    return arrays
