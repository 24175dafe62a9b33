"""Operators and operator sets that the version's parser knows."""

from __future__ import annotations

from collections.abc import Iterator

from yardarm.compile.normalising import lowering
from yardarm.compile.readiness import tables
from yardarm.compile.readiness.findings import Severity, Told, rule
from yardarm.compile.readiness.reading import Node, Reading
from yardarm.compile.sources import operators

PARSER = "onnx/onnx-tensorrt docs/operators.md, by version in tables/"

INTEGER = frozenset(
    {
        "BitShift",
        "ConvInteger",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
    }
)


@rule(
    "opset",
    "error",
    "warning",
    mark="S",
    source=PARSER,
    says="The operator set is one that the version parses; newer ones are lowered by compiling.",
)
def opset(reading: Reading) -> Iterator[Told]:
    target, have = reading.target, reading.opset
    if have > target.opset_max:
        what = f"operator set {have}; TensorRT {target.version} parses up to {target.opset_max}"
        if target.imported:
            yield Told(None, what, "compiling lowers it where that is possible", Severity.WARNING)
        else:
            yield Told(None, what, f"export with operator set {target.opset_max} or lower")
    elif target.imported and 0 < have < operators.OLDEST:
        what = f"operator set {have}; compiling takes {operators.OLDEST} and newer"
        yield Told(None, what, "export with a newer operator set")
    elif 0 < have < target.table.opset_min:
        what = f"operator set {have}; TensorRT {target.version} promises {target.table.opset_min}"
        hint = "compiling raises it" if target.imported else "export with a newer operator set"
        yield Told(None, what, hint, Severity.WARNING)


@rule(
    "operator",
    "error",
    "warning",
    mark="P",
    source=PARSER,
    says="The version's table has the operator. Operators of other domains are read by their "
    "name alone, or need a plugin.",
)
def operator(reading: Reading) -> Iterator[Told]:
    known = reading.target.table.operators
    version = reading.target.version
    for node in reading.nodes:
        if not node.standard:
            yield _foreign(node, node.op in known, version)
        elif node.op not in known and node.op not in INTEGER:
            what = f"TensorRT {version} has no {node.op}"
            if reading.target.imported and lowering.defined(node.op):
                yield Told(node, what, "compiling spells it out", Severity.WARNING)
            else:
                yield Told(node, what, _instead(node.op))


def _foreign(node: Node, named: bool, version: str) -> Told:
    domain = node.proto.domain
    if named:
        what = f"{domain} is not looked at: TensorRT reads it as ONNX's own {node.op}"
        return Told(node, what, "use ONNX's operator, so that both agree", Severity.WARNING)
    what = f"TensorRT {version} knows no {node.op} of {domain}"
    return Told(node, what, "write it with ONNX's own operators; plugins are not carried")


def _instead(op: str) -> str:
    """What to write in its place."""
    known = {
        "GridSample": "JetPack 5.1 (TensorRT 8.5) has it",
        "LayerNormalization": "JetPack 6.0 (TensorRT 8.6) has it; or export with operator set 16",
        "GroupNormalization": "JetPack 6.0 (TensorRT 8.6) has it; or export with operator set 17",
        "Gelu": "export with operator set 19, which spells it out",
        "Compress": "gather with indices that are known beforehand",
        "Unique": "do it before or after the model",
    }
    had = [each for each in tables.versions() if op in tables.load(each).operators]
    newer = f", or take a JetPack with TensorRT {had[0][0]}.{had[0][1]}" if had else ""
    return known.get(op, f"export without it{newer}")


@rule(
    "integer-operator",
    "error",
    mark="P",
    source="seen refused by TensorRT-RTX 1.7; N in every version of onnx-tensorrt's table",
    says="No operators on integers: BitShift, ConvInteger, DynamicQuantizeLinear, MatMulInteger, "
    "QLinearConv, QLinearMatMul.",
)
def integer_operator(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*INTEGER):
        if node.op == "BitShift":
            hint = "multiply or divide by a power of two"
        else:
            hint = "start from the float model: compiling quantizes it with explicit Q/DQ"
        yield Told(node, f"TensorRT has no {node.op}", hint)


RULES = (opset, operator, integer_operator)
