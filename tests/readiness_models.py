"""For each rule a model that breaks it, and a twin that is as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

ZERO = np.int8(0)
Profiles = Mapping[str, Mapping[str, Sequence[int]]]


@dataclass(frozen=True)
class Case:
    """A rule, a model that breaks it on a device, and one that doesn't.

    `profiles` and `good_profiles` are the optimisation profiles to go with them.
    """

    rule: str
    bad: ModelProto
    good: ModelProto
    profile: str = "jetson-agx-thor"
    jetpack: str | None = "7.2"
    profiles: Profiles | None = None
    good_profiles: Profiles | None = None
    title: str = ""


def value(name: str, shape: Sequence[int | str | None], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, values: Any) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def raw(name: str, kind: int, shape: Sequence[int], size: int) -> TensorProto:
    return helper.make_tensor(name, kind, shape, bytes(size), raw=True)


def node(op: str, reads: Sequence[str], makes: Sequence[str], **settings: Any) -> NodeProto:
    return helper.make_node(
        op, reads, makes, name=settings.pop("name", f"{op}-{makes[0]}"), **settings
    )


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: Sequence[TensorProto] = (),
    opset: int = 17,
) -> ModelProto:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializer=list(constants))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = onnx.helper.find_min_ir_version_for(made.opset_import)
    return made


def one(op: str, kind: int = TensorProto.FLOAT, opset: int = 17, **settings: Any) -> ModelProto:
    """One operator from x of [4, 4] to y."""
    made = node(op, ["x"], ["y"], **settings)
    out = settings.get("to", kind)
    return model([made], [value("x", [4, 4], kind)], [value("y", [4, 4], out)], opset=opset)


def weight(name: str = "w", shape: Sequence[int] = (4, 4, 3, 3)) -> TensorProto:
    return constant(name, np.random.default_rng(5).normal(size=shape).astype(np.float32))


IMAGE = [1, 4, 8, 8]
INNER = [1, 4, 6, 6]


def quantized(
    zero: Any = ZERO, scale: float = 0.1, opset: int = 17, relu: bool = False
) -> ModelProto:
    """x → Q → DQ → Conv with weights in int8; with `relu`, Q/DQ and Relu follow it."""
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantize"),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], name="dequantize"),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], name="weights", axis=0),
        node("Conv", ["d", "wd"], ["c"], name="conv"),
    ]
    if relu:
        nodes += [
            node("QuantizeLinear", ["c", "s", "z"], ["cq"], name="between"),
            node("DequantizeLinear", ["cq", "s", "z"], ["cd"], name="after"),
            node("Relu", ["cd"], ["y"], name="relu"),
        ]
    else:
        nodes.append(node("Relu", ["c"], ["y"], name="relu"))
    held = [
        constant("s", np.float32(scale)),
        constant("z", zero),
        constant("w", np.random.default_rng(6).integers(-9, 9, (4, 4, 3, 3), dtype=np.int8)),
        constant("ws", np.full(4, 0.1, np.float32)),
        constant("wz", np.zeros(4, np.int8)),
    ]
    return model(nodes, [value("x", IMAGE)], [value("y", INNER)], held, opset)


def along(axis: int) -> ModelProto:
    """Weights of a quantized Conv with scales along `axis`."""
    made = quantized()
    next(each for each in made.graph.node if each.name == "weights").attribute[0].i = axis
    return made


def biased(quantize: bool) -> ModelProto:
    nodes = [node("Conv", ["x", "w", "b"], ["y"], name="conv")]
    held = [weight(), constant("b", np.arange(4, dtype=np.float32))]
    if quantize:
        nodes.insert(0, node("DequantizeLinear", ["bq", "bs"], ["b"], name="bias"))
        held = [
            weight(),
            constant("bq", np.arange(4, dtype=np.int32)),
            constant("bs", np.float32(0.1)),
        ]
    return model(nodes, [value("x", IMAGE)], [value("y", INNER)], held)


def float_twin(op: str) -> ModelProto:
    """What an integer operator should have been."""
    if op in ("ConvInteger", "QLinearConv"):
        made = node("Conv", ["x", "w"], ["y"])
        return model([made], [value("x", IMAGE)], [value("y", INNER)], [weight()])
    if op == "BitShift":
        return one("Relu")
    product = node("MatMul", ["x", "w"], ["y"])
    return model([product], [value("x", [2, 4])], [value("y", [2, 4])], [weight(shape=(4, 4))])


def integer(op: str) -> ModelProto:
    """An operator on integers, between casts."""
    eight = TensorProto.INT8
    if op == "BitShift":
        made = node(op, ["x", "x"], ["y"], direction="LEFT")
        small = TensorProto.UINT8
        return model([made], [value("x", [4], small)], [value("y", [4], small)])
    if op == "DynamicQuantizeLinear":
        nodes = [node(op, ["x"], ["q", "s", "z"]), node("Cast", ["q"], ["y"], to=TensorProto.FLOAT)]
        return model(nodes, [value("x", [2, 4])], [value("y", [2, 4])])
    if op == "MatMulInteger":
        nodes = [node(op, ["x", "w"], ["i"]), node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)]
        held = [constant("w", np.ones((4, 4), np.int8))]
        return model(nodes, [value("x", [2, 4], eight)], [value("y", [2, 4])], held)
    if op == "ConvInteger":
        nodes = [node(op, ["x", "w"], ["i"]), node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)]
        held = [constant("w", np.ones((4, 4, 3, 3), np.int8))]
        return model(nodes, [value("x", IMAGE, eight)], [value("y", INNER)], held)
    shape, out, kernel = (
        ([2, 4], [2, 4], (4, 4)) if op == "QLinearMatMul" else (IMAGE, INNER, (4, 4, 3, 3))
    )
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node(op, ["q", "s", "z", "w", "s", "z", "s", "z"], ["i"]),
        node("DequantizeLinear", ["i", "s", "z"], ["y"]),
    ]
    held = [
        constant("w", np.ones(kernel, np.int8)),
        constant("s", np.float32(0.1)),
        constant("z", np.int8(0)),
    ]
    return model(nodes, [value("x", shape)], [value("y", out)], held)


def int4(block: int = 32, opset: int = 21, activations: bool = False) -> ModelProto:
    """MatMul with weights in blocks of int4; with `activations`, its input is int4 instead."""
    if activations:
        nodes = [
            node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            node("DequantizeLinear", ["q", "s", "z"], ["d"]),
            node("Relu", ["d"], ["y"]),
        ]
        held = [constant("s", np.float32(0.1)), raw("z", TensorProto.INT4, [], 1)]
        return model(nodes, [value("x", [2, 64])], [value("y", [2, 64])], held, opset)
    nodes = [
        node("DequantizeLinear", ["w", "ws"], ["wd"], axis=0, block_size=block),
        node("MatMul", ["x", "wd"], ["y"]),
    ]
    held = [
        raw("w", TensorProto.INT4, [64, 16], 512),
        constant("ws", np.full((64 // block, 16), 0.1, np.float32)),
    ]
    return model(nodes, [value("x", [2, 64])], [value("y", [2, 16])], held, opset)


def small_float(kind: int, opset: int) -> ModelProto:
    """Q/DQ in an 8-bit or 4-bit float."""
    settings = {"block_size": 16, "axis": 1} if kind == TensorProto.FLOAT4E2M1 else {}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], **settings),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], **settings),
        node("Relu", ["d"], ["y"]),
    ]
    scales = np.full((2, 4), 0.1, np.float32) if settings else np.float32(0.1)
    zeros = raw("z", kind, [2, 4], 4) if settings else raw("z", kind, [], 1)
    held = [constant("s", scales), zeros]
    return model(nodes, [value("x", [2, 64])], [value("y", [2, 64])], held, opset)


def resized(**settings: Any) -> ModelProto:
    made = node("Resize", ["x", "", "s"], ["y"], mode="linear", **settings)
    held = [constant("s", np.array([1, 1, 0.5, 0.5], np.float32))]
    return model([made], [value("x", IMAGE)], [value("y", [1, 4, 4, 4])], held, opset=19)


def pooled(op: str = "MaxPool", dilation: int = 1, indices: bool = False) -> ModelProto:
    outputs = ["y", "places"] if indices else ["y"]
    size = 8 - dilation
    made = node(op, ["x"], outputs, kernel_shape=[2, 2], dilations=[dilation, dilation])
    shapes = [value("y", [1, 4, size, size])]
    if indices:
        shapes.append(value("places", [1, 4, size, size], TensorProto.INT64))
    return model([made], [value("x", IMAGE)], shapes, opset=19)


def ranked(axes: int) -> ModelProto:
    """A tensor of so many axes inside of the model."""
    wide = [1] * (axes - 2) + [2, 4]
    nodes = [
        node("Reshape", ["x", "out"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Reshape", ["b", "back"], ["y"]),
    ]
    held = [constant("out", np.array(wide)), constant("back", np.array([2, 4]))]
    return model(nodes, [value("x", [2, 4])], [value("y", [2, 4])], held)


def top(count: int) -> ModelProto:
    made = node("TopK", ["x", "k"], ["y", "places"])
    outputs = [value("y", [1, count]), value("places", [1, count], TensorProto.INT64)]
    return model([made], [value("x", [1, 5000])], outputs, [constant("k", np.array([count]))])


def dynamic(second: int | str = 4) -> ModelProto:
    shape = ["n", second]
    return model([node("Relu", ["x"], ["y"])], [value("x", shape)], [value("y", shape)])


def ends(low: Sequence[int], usual: Sequence[int], high: Sequence[int]) -> Profiles:
    return {"x": {"min": low, "opt": usual, "max": high}}


RIGHT = ends([1, 4], [2, 4], [8, 4])


def added(number: int) -> ModelProto:
    """x + number, in int64."""
    kind = TensorProto.INT64
    made = node("Add", ["x", "n"], ["y"])
    held = [constant("n", np.array([number]))]
    return model([made], [value("x", [4], kind)], [value("y", [4], kind)], held)


def scattered(reduction: str) -> ModelProto:
    made = node("ScatterND", ["x", "i", "u"], ["y"], reduction=reduction)
    held = [constant("i", np.array([[1]])), constant("u", np.ones((1, 4), np.float32))]
    return model([made], [value("x", [4, 4])], [value("y", [4, 4])], held, opset=18)


def summed(fed: bool) -> ModelProto:
    """A sum along axes that are an input of the model, or a constant."""
    made = node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)
    inputs = [value("x", [4, 4])]
    if fed:
        inputs.append(value("axes", [1], TensorProto.INT64))
    held = [] if fed else [constant("axes", np.array([1]))]
    return model([made], inputs, [value("y", [4, 1])], held)


def normalised(outputs: Sequence[str]) -> ModelProto:
    made = node("LayerNormalization", ["x", "g"], outputs)
    held = [constant("g", np.ones(4, np.float32))]
    shapes = [value("y", [4, 4]), value("mean", [4, 1])][: len(outputs)]
    return model([made], [value("x", [4, 4])], shapes, held)


def half_quantized(inner: bool) -> ModelProto:
    """A Conv whose input is quantized and whose weights are not, or neither."""
    made = quantized()
    kept = [each for each in made.graph.node if each.name != "weights"]
    names = {"wd": "f"} if inner else {"wd": "f", "d": "x"}
    for each in kept:
        each.input[:] = [names.get(name, name) for name in each.input]
    del made.graph.node[:]
    made.graph.node.extend(kept if inner else [e for e in kept if "quantize" not in e.name])
    made.graph.initializer.append(weight("f"))
    return made


def branch(quantize: bool) -> ModelProto:
    """A quantized Conv whose input goes around it, too."""
    made = quantized()
    graph = made.graph
    del graph.node[-1]
    graph.node.append(node("MaxPool", ["x"], ["p"], kernel_shape=[3, 3]))
    around = "p"
    if quantize:
        graph.node.append(node("QuantizeLinear", ["p", "s", "z"], ["pq"]))
        graph.node.append(node("DequantizeLinear", ["pq", "s", "z"], ["pd"]))
        around = "pd"
    graph.node.append(node("Add", ["c", around], ["y"], name="add"))
    return made


def contributed(op: str) -> ModelProto:
    made = one(op)
    made.graph.node[0].domain = "com.microsoft"
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


def inside(held: NodeProto, op: str) -> ModelProto:
    """x → If or Loop whose body has the node, which reads x and makes y."""
    body_outputs = [value("y", [4, 4])]
    if op == "If":
        then = helper.make_graph([held], "then", [], body_outputs)
        other = helper.make_graph([node("Relu", ["x"], ["z"])], "else", [], [value("z", [4, 4])])
        outer = node("If", ["c"], ["out"], then_branch=then, else_branch=other)
        inputs = [value("x", [4, 4]), value("c", [], TensorProto.BOOL)]
        return model([outer], inputs, [value("out", [4, 4])])
    going = node("Identity", ["go"], ["on"])
    body = helper.make_graph(
        [going, held],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL)],
        [value("on", [], TensorProto.BOOL), value("y", [4, 4])],
    )
    outer = node("Loop", ["m", ""], ["out"], body=body)
    held_count = [constant("m", np.array(3))]
    return model([outer], [value("x", [4, 4])], [value("out", [3, 4, 4])], held_count)


def cases() -> list[Case]:
    """Every rule has one at least; those marked P also convince TensorRT-RTX."""
    orin5: dict[str, Any] = {"profile": "jetson-orin-nano-8gb", "jetpack": "5.1"}
    orin6: dict[str, Any] = {"profile": "jetson-orin-nano-8gb", "jetpack": "6.2"}
    e4m3, e2m1 = TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT4E2M1
    integers = [
        "BitShift",
        "ConvInteger",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
    ]
    return [
        Case("opset", one("Relu", opset=21), one("Relu", opset=20), **orin6),
        Case("operator", one("Det"), one("Relu"), title="unknown"),
        Case("operator", contributed("FastGelu"), one("Gelu", opset=20), title="foreign"),
        *(Case("integer-operator", integer(op), float_twin(op), title=op) for op in integers),
        Case("type", one("Identity", TensorProto.STRING), one("Identity"), title="string"),
        Case(
            "type",
            one("Cast", to=TensorProto.UINT16),
            one("Cast", to=TensorProto.INT32),
            title="uint16",
        ),
        Case("operator-type", one("Erf", TensorProto.INT32), one("Erf")),
        Case("shape-profile", dynamic(), dynamic(), profiles={}, good_profiles=RIGHT, title="none"),
        Case(
            "shape-profile",
            dynamic(),
            dynamic(),
            profiles=ends([4, 4], [2, 4], [8, 4]),
            good_profiles=RIGHT,
            title="order",
        ),
        Case(
            "shape-profile",
            dynamic(),
            dynamic(),
            profiles=ends([1, 3], [2, 3], [8, 3]),
            good_profiles=RIGHT,
            title="fixed",
        ),
        Case(
            "axis-name",
            dynamic("n"),
            dynamic("m"),
            profiles=ends([1, 4], [2, 4], [3, 4]),
            good_profiles=ends([1, 4], [2, 4], [3, 4]),
        ),
        Case("zero-point", quantized(np.int8(3)), quantized()),
        Case("scale", quantized(scale=0.0), quantized(), title="zero"),
        Case("scale", quantized(scale=-1.0), quantized(), title="negative"),
        Case("int32-bias", biased(True), biased(False)),
        Case("int16", quantized(np.int16(0), opset=21), quantized(opset=21)),
        Case("uint8", quantized(np.uint8(0)), quantized()),
        Case("weight-axis", along(1), along(0)),
        Case("int4", int4(activations=True), int4(), title="activations"),
        Case("int4", int4(block=16), int4(block=32), title="block"),
        Case("float8", small_float(e4m3, 19), quantized(opset=19), **orin6, title="device"),
        Case("float4", small_float(e2m1, 23), quantized(opset=19), **orin6, title="device"),
        Case("setting", scattered("add"), scattered("none")),
        Case("constant-input", summed(fed=True), summed(fed=False)),
        Case("extra-output", normalised(["y", "mean"]), normalised(["y"])),
        Case("resize-antialias", resized(antialias=1), resized()),
        Case(
            "resize-coordinates",
            resized(coordinate_transformation_mode="half_pixel_symmetric"),
            resized(coordinate_transformation_mode="asymmetric"),
        ),
        Case("pool-dilation", pooled(dilation=2), pooled(), title="MaxPool"),
        Case("pool-dilation", pooled("AveragePool", 2), pooled("AveragePool"), title="AveragePool"),
        Case("pool-indices", pooled(indices=True), pooled()),
        Case("rank", ranked(9), ranked(8)),
        Case("top-k", top(3841), top(3840)),
        Case("int64", added(1 << 40), added(1 << 20), **orin5),
        Case("double", one("Relu", TensorProto.DOUBLE), one("Relu")),
        Case("lone-dq", half_quantized(inner=True), half_quantized(inner=False)),
        Case("residual", branch(quantize=False), branch(quantize=True)),
        Case("split-fusion", quantized(relu=True), quantized()),
    ]
