"""Settings and sizes that TensorRT's layers don't go beyond."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yardarm.compile.readiness.findings import Told, rule
from yardarm.compile.readiness.reading import Reading

PARSED = "seen refused by TensorRT-RTX 1.7's parser"
RANK_MAX = 8
TOP_MAX = 3840
COORDINATES = (
    "half_pixel",
    "pytorch_half_pixel",
    "tf_half_pixel_for_nn",
    "asymmetric",
    "align_corners",
)


@rule(
    "resize-antialias",
    "error",
    mark="P",
    source=PARSED,
    says="Resize doesn't antialias.",
)
def resize_antialias(reading: Reading) -> Iterator[Told]:
    for node in reading.of("Resize"):
        if node.attribute("antialias", 0):
            hint = "export with antialias off, or scale before the model"
            yield Told(node, "Resize with antialias", hint)


@rule(
    "resize-coordinates",
    "error",
    mark="P",
    source=PARSED + "; onnx-tensorrt docs/operators.md",
    says=f"Resize takes positions as one of {', '.join(COORDINATES)}.",
)
def resize_coordinates(reading: Reading) -> Iterator[Told]:
    for node in reading.of("Resize"):
        mode = node.attribute("coordinate_transformation_mode", COORDINATES[0])
        if mode not in COORDINATES:
            yield Told(node, f"Resize with {mode}", "export with half_pixel")


@rule(
    "pool-dilation",
    "error",
    mark="P",
    source=PARSED,
    says="Pooling has no dilation.",
)
def pool_dilation(reading: Reading) -> Iterator[Told]:
    for node in reading.of("MaxPool", "AveragePool", "LpPool"):
        if any(step != 1 for step in node.numbers("dilations")):
            steps = ", ".join(map(str, node.numbers("dilations")))
            yield Told(node, f"pooling with dilations {steps}", "pool without dilation")


@rule(
    "pool-indices",
    "error",
    mark="P",
    source=PARSED + "; onnx-tensorrt docs/operators.md",
    says="MaxPool tells values, not indices.",
)
def pool_indices(reading: Reading) -> Iterator[Told]:
    for node in reading.of("MaxPool"):
        if len(node.proto.output) > 1 and node.proto.output[1]:
            yield Told(node, "MaxPool with indices", "upsample with Resize in place of unpooling")


@rule(
    "rank",
    "error",
    mark="P",
    source=PARSED,
    says=f"Tensors have {RANK_MAX} axes at most.",
)
def rank(reading: Reading) -> Iterator[Told]:
    for node in reading.nodes:
        for name in (*node.proto.input, *node.proto.output):
            shape = node.scope.type(name)[1] if name else None
            if shape is not None and len(shape) > RANK_MAX:
                what = f"{name} has {len(shape)} axes; TensorRT's limit is {RANK_MAX}"
                yield Told(node, what, "join axes with Reshape")
                break


@rule(
    "top-k",
    "error",
    mark="P",
    source="seen refused by TensorRT-RTX 1.7's builder",
    says=f"TopK has a K of {TOP_MAX} at most.",
)
def top_k(reading: Reading) -> Iterator[Told]:
    for node in reading.of("TopK"):
        held = node.constant(1)
        count = int(np.max(held.astype(np.int64))) if held is not None and held.size else 0
        if count > TOP_MAX:
            what = f"K is {count}; TensorRT's limit is {TOP_MAX}"
            yield Told(node, what, "take fewer, or sort outside the model")


RULES = (resize_antialias, resize_coordinates, pool_dilation, pool_indices, rank, top_k)
