"""Where Q and DQ stand, so that TensorRT's layers fuse with them and run in int8."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from yardarm.compile.readiness.findings import Told, rule
from yardarm.compile.readiness.reading import Node, Reading

MEMORY = "from memory of TensorRT's advice on placing Q/DQ; not measured here"
MULTIPLIES = "Conv", "ConvTranspose", "MatMul", "Gemm"
PASSED = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten"})
FUSED = frozenset({"BatchNormalization", "Relu", "Clip", "LeakyRelu"})
FAR = 8  # nodes; nobody reshapes a weight more often


@rule(
    "lone-dq",
    "warning",
    mark="M",
    source=MEMORY,
    says="Conv, MatMul and Gemm have both inputs quantized, or none. Weights alone may be INT4.",
)
def lone_dq(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*MULTIPLIES):
        first, second = dequantized(node, 0), dequantized(node, 1)
        if bool(first) == bool(second) or (second and second.type(0) == TensorProto.INT4):
            continue
        lacking = "weights or second input are" if first else "first input is"
        what = f"its {lacking} not quantized, so it computes in float"
        yield Told(node, what, "put Q/DQ on both inputs, or on none")


@rule(
    "residual",
    "warning",
    mark="M",
    source=MEMORY,
    says="Where a quantized Conv is added to, the other branch is quantized too.",
)
def residual(reading: Reading) -> Iterator[Told]:
    for node in reading.of("Add"):
        makers = [node.maker(0), node.maker(1)]
        constant = any(node.tensor(place) is not None for place in (0, 1))
        if constant or any(maker and maker.op == "DequantizeLinear" for maker in makers):
            continue
        if any(maker and maker.op == "Conv" and dequantized(maker, 0) for maker in makers):
            what = "neither branch is quantized, so the Conv before doesn't fuse with the Add"
            yield Told(node, what, "put Q/DQ on the branch that goes around the Conv")


@rule(
    "split-fusion",
    "warning",
    mark="M",
    source=MEMORY,
    says="No Q/DQ between Conv and BatchNormalization or an activation.",
)
def split_fusion(reading: Reading) -> Iterator[Told]:
    for node in reading.of("Conv"):
        for quantize in (each for each in node.readers() if each.op == "QuantizeLinear"):
            after = [read for dq in quantize.readers() for read in dq.readers()]
            if fused := next((each for each in after if each.op in FUSED), None):
                what = f"Q/DQ stand between it and {fused.op}, which then run apart"
                yield Told(node, what, f"move them behind {fused.op}")


def dequantized(node: Node, place: int) -> Node | None:
    """The DQ that an input comes from, through nodes that only reshape."""
    maker = node.maker(place)
    for _ in range(FAR):
        if maker is None or maker.op not in PASSED:
            break
        maker = maker.maker(0)
    return maker if maker is not None and maker.op == "DequantizeLinear" else None


RULES = (lone_dq, residual, split_fusion)
