"""Numbers that TensorRT narrows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from yardarm.compile.readiness.findings import Told, rule
from yardarm.compile.readiness.reading import Node, Reading

TEXT = "onnx/onnx-tensorrt docs/operators.md"
WIDEST = np.iinfo(np.int32)
ENDLESS = frozenset({"Slice"})  # reads the largest integer as "to the end", clamped or not


@rule(
    "int64",
    "warning",
    mark="S",
    source=TEXT + " for 8.x",
    says="Before TensorRT 9 integers are kept in 32 bits: constants beyond are clamped.",
)
def int64(reading: Reading) -> Iterator[Told]:
    if reading.target.tensorrt >= (9, 0):
        return
    told = set()
    for node in (node for node in reading.nodes if node.op not in ENDLESS):
        for name in _held(node):
            tensor = node.scope.tensor(name)
            if tensor is None or tensor.data_type != TensorProto.INT64 or name in told:
                continue
            values = node.scope.constant(name)
            if (
                values is not None
                and values.size
                and (values.max() > WIDEST.max or values.min() < WIDEST.min)
            ):
                told.add(name)
                what = f"{name} holds integers beyond 32 bits, which are clamped"
                yield Told(node, what, "keep integers in 32 bits, or take JetPack 6.1 or newer")


@rule(
    "double",
    "warning",
    mark="S",
    source=TEXT,
    says="float64 is computed in float32.",
)
def double(reading: Reading) -> Iterator[Told]:
    for node in reading.nodes:
        kinds = [node.scope.type(name)[0] for name in _held(node) if name]
        if TensorProto.DOUBLE in kinds:
            yield Told(node, "float64 is narrowed to float32", "export in float32, and compare")


def _held(node: Node) -> tuple[str, ...]:
    return (*node.proto.input, *node.proto.output)


RULES = (int64, double)
