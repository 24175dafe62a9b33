"""How QuantizeLinear and DequantizeLinear have to be for TensorRT."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from yardarm.compile.readiness import tables
from yardarm.compile.readiness.findings import Severity, Told, rule
from yardarm.compile.readiness.reading import Node, Reading

SEEN = "seen refused by TensorRT-RTX 1.7's parser"
SCALE, ZERO_POINT = 1, 2  # inputs
COMPUTED = "QuantizeLinear", "DequantizeLinear"


@rule(
    "zero-point",
    "error",
    "warning",
    mark="P",
    source=SEEN,
    says="Zero points are 0: quantization is symmetric.",
)
def zero_point(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*COMPUTED):
        point = node.constant(ZERO_POINT)
        if point is None:
            if node.input(ZERO_POINT):
                what = "the zero point is computed; TensorRT takes 0 alone"
                yield Told(node, what, "quantize symmetrically", Severity.WARNING)
        elif np.any(point.astype(np.float32) != 0):
            value = int(point.reshape(-1)[np.argmax(np.abs(point.astype(np.float32)))])
            what = f"zero point {value}; TensorRT takes 0 alone"
            hint = "quantize symmetrically, in int8 (onnxruntime: ActivationSymmetric=True)"
            yield Told(node, what, hint)


@rule(
    "scale",
    "error",
    mark="P",
    source=SEEN + " (0 and below); infinite ones break the answers",
    says="Scales are above 0 and finite.",
)
def scale(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*COMPUTED):
        values = node.constant(SCALE)
        if values is None:
            continue
        wide = values.astype(np.float32)
        bad = wide[~(np.isfinite(wide) & (wide > 0))]
        if bad.size:
            what = f"scale {bad.flat[0]:g}; it must be above 0 and finite"
            yield Told(node, what, "calibrate with data on which the tensor isn't all zero")


@rule(
    "int32-bias",
    "error",
    mark="P",
    source=SEEN,
    says="Biases stay in float: no DequantizeLinear of INT32.",
)
def int32_bias(reading: Reading) -> Iterator[Told]:
    for node in reading.of("DequantizeLinear"):
        if node.type(0) == TensorProto.INT32:
            what = "it dequantizes INT32, as quantized biases do"
            yield Told(node, what, "keep biases in float (onnxruntime: QuantizeBias=False)")


@rule(
    "int16",
    "error",
    mark="P",
    source=SEEN,
    says="No quantization to 16-bit integers.",
)
def int16(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*COMPUTED):
        if quantized(node) in (TensorProto.INT16, TensorProto.UINT16):
            word = tables.word(quantized(node))
            yield Told(node, f"quantized to {word}", "quantize to INT8, or leave it in fp16")


@rule(
    "uint8",
    "warning",
    mark="S",
    source="onnx-tensorrt's tables list INT8 for 8.x and 10.x; TensorRT-RTX 1.7 accepts it",
    says="Quantized tensors are INT8, not UINT8.",
)
def uint8(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*COMPUTED):
        if quantized(node) == TensorProto.UINT8:
            what = f"quantized to UINT8; INT8 is what TensorRT {reading.target.version} documents"
            yield Told(node, what, "quantize to INT8 with zero point 0")


@rule(
    "weight-axis",
    "warning",
    mark="M",
    source="from memory; TensorRT-RTX 1.7 builds axis 1, a third larger",
    says="Weights of Conv have their scales along axis 0, their output channels.",
)
def weight_axis(reading: Reading) -> Iterator[Told]:
    for node in reading.of("Conv"):
        maker = node.maker(1)
        if maker is None or maker.op != "DequantizeLinear":
            continue
        scales = maker.constant(SCALE)
        axis = maker.attribute("axis", 1)
        if scales is not None and scales.size > 1 and axis not in (0, -4):
            what = f"the weights' scales go along axis {axis}, so it may not run in int8"
            yield Told(node, what, "quantize weights along axis 0")


def quantized(node: Node) -> int:
    """The type that a Q makes or a DQ reads, as ONNX has it; 0: not known."""
    if node.op == "DequantizeLinear":
        return node.type(0)
    told = node.attribute("output_dtype", 0)
    if isinstance(told, int) and told:
        return told
    return node.type(ZERO_POINT) if node.input(ZERO_POINT) else int(TensorProto.UINT8)


RULES = (zero_point, scale, int32_bias, int16, uint8, weight_axis)
