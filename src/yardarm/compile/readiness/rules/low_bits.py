"""Types below 8 bits and 8-bit floats, which only some devices have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnx import TensorProto

from yardarm.compile.readiness.findings import Severity, Told, rule
from yardarm.compile.readiness.reading import Node, Reading
from yardarm.compile.readiness.rules.quantization import COMPUTED, quantized

QUANTIZED = "TensorRT's documentation on quantized types"
BLOCKS = (32, 64, 128)
FLOAT8 = (
    TensorProto.FLOAT8E4M3FN,
    TensorProto.FLOAT8E4M3FNUZ,
    TensorProto.FLOAT8E5M2,
    TensorProto.FLOAT8E5M2FNUZ,
)


@dataclass(frozen=True)
class Need:
    """What a type asks for: compute capability, TensorRT, operator set."""

    name: str
    sm: int
    tensorrt: tuple[int, int]
    opset: int


EIGHT = Need("FP8", 89, (9, 0), 19)
FOUR = Need("FP4", 100, (10, 8), 23)


@rule(
    "int4",
    "error",
    "warning",
    mark="S",
    source=QUANTIZED,
    says="INT4 is for constant weights, in blocks of 32, 64 or 128, from TensorRT 10.0 and "
    "operator set 21.",
)
def int4(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*COMPUTED):
        if quantized(node) not in (TensorProto.INT4, TensorProto.UINT4):
            continue
        hint = "quantize to INT8"
        if reading.target.tensorrt < (10, 0) or reading.opset < 21:
            what = f"INT4 needs TensorRT 10 and operator set 21, not {reading.target.version}"
            yield Told(node, f"{what} and {reading.opset}", hint)
        elif node.op == "QuantizeLinear" or node.tensor(0) is None:
            yield Told(node, "INT4 is for constant weights alone", hint)
        elif (block := node.attribute("block_size", 0)) and block not in BLOCKS:
            what = f"blocks of {block}; those that are documented: 32, 64, 128"
            yield Told(node, what, "quantize in one of these", Severity.WARNING)


@rule(
    "float8",
    "error",
    mark="S",
    source=QUANTIZED + "; compute capability 8.9",
    says="FP8 (E4M3FN) runs from compute capability 8.9 (Thor), TensorRT 9.0 and operator set 19.",
)
def float8(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*COMPUTED):
        if quantized(node) in FLOAT8:
            yield from _lacks(reading, node, EIGHT)
            if quantized(node) != TensorProto.FLOAT8E4M3FN:
                yield Told(node, "of FP8 TensorRT has E4M3FN alone", "quantize to that")


@rule(
    "float4",
    "error",
    mark="S",
    source=QUANTIZED + "; compute capability 10.0",
    says="FP4 runs from compute capability 10.0 (Thor), TensorRT 10.8 and operator set 23.",
)
def float4(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*COMPUTED):
        if quantized(node) == TensorProto.FLOAT4E2M1:
            yield from _lacks(reading, node, FOUR)


def _lacks(reading: Reading, node: Node, need: Need) -> Iterator[Told]:
    target = reading.target
    if target.sm < need.sm:
        have = f"{target.sm // 10}.{target.sm % 10}"
        what = f"this device has no {need.name}: its compute capability is {have}"
        yield Told(node, what, "quantize to INT8, or leave it in fp16")
    elif target.tensorrt < need.tensorrt or reading.opset < need.opset:
        version = ".".join(map(str, need.tensorrt))
        what = (
            f"{need.name} needs TensorRT {version} and operator set {need.opset}, "
            f"not {target.version} and {reading.opset}"
        )
        yield Told(node, what, "take a newer JetPack, or quantize to INT8")


RULES = (int4, float8, float4)
