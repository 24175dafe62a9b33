"""Types of tensors that the version takes, at all and for each operator."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from yardarm.compile.readiness import tables
from yardarm.compile.readiness.findings import Told, rule
from yardarm.compile.readiness.reading import Node, Reading
from yardarm.compile.readiness.rules.operators import INTEGER, PARSER

OWN_RULES = frozenset({"INT4", "FP8", "FP4"})  # low_bits.py says more of them
BY_OUTPUT = frozenset({"ConstantOfShape", "RandomNormal", "RandomUniform"})
BY_INPUT = {"Where": 1, "OneHot": 2}  # which input's type is the operator's; else the first
UNTYPED = frozenset(
    {"If", "Loop", "Scan", "Constant", "Shape", "Size", "QuantizeLinear", "DequantizeLinear"}
)


@rule(
    "type",
    "error",
    mark="P",
    source=PARSER + "; strings and UINT16 seen refused by TensorRT-RTX 1.7",
    says="Tensors are of types that the version has: no strings, complex or 16-bit integers, "
    "and bfloat16 from 10.",
)
def type_known(reading: Reading) -> Iterator[Told]:
    table, version = reading.target.table, reading.target.version
    told: set[tuple[int, str]] = set()
    for node in reading.nodes:
        for name in (*node.proto.input, *node.proto.output):
            kind = node.scope.type(name)[0]
            held = tables.NAMES.get(kind)
            if not kind or held in table.types or held in OWN_RULES or _of_int16(node, kind):
                continue
            if (id(node.scope), name) not in told:
                told.add((id(node.scope), name))
                what = f"{name} is {tables.word(kind)}, which TensorRT {version} doesn't have"
                yield Told(node, what, "cast it to a type that it has, or export in float32")


def _of_int16(node: Node, kind: int) -> bool:
    quantizes = node.op in ("QuantizeLinear", "DequantizeLinear")
    return quantizes and kind in (TensorProto.INT16, TensorProto.UINT16)


@rule(
    "operator-type",
    "warning",
    mark="S",
    source=PARSER,
    says="The version's table lists the type for the operator.",
)
def operator_type(reading: Reading) -> Iterator[Told]:
    table, version = reading.target.table, reading.target.version
    for node in reading.nodes:
        listed = table.operators.get(node.op)
        if not listed or not node.standard or node.op in UNTYPED | INTEGER:
            continue
        held = tables.NAMES.get(_kind(node), "")
        taken = "INT32" if held == "INT64" and reading.target.tensorrt < (9, 0) else held
        if held in table.types and taken not in listed:
            what = f"{held} is not listed for {node.op} of TensorRT {version}"
            names = ", ".join(sorted(listed))
            yield Told(node, what, f"cast to one of {names} if the build fails")


def _kind(node: Node) -> int:
    if node.op in BY_OUTPUT:
        return node.scope.type(node.output())[0]
    return node.type(BY_INPUT.get(node.op, 0))


RULES = (type_known, operator_type)
