"""The selftest's model: two convolutions and a classifier, in the three types that Jetsons run.

What it answers is computed with numpy too, so that a device without onnxruntime can compare.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from yardarm_runtime.selftest.onnx_file import Node, Value, model

INPUT, OUTPUT = "image", "scores"
SHAPE, CLASSES, CHANNELS = (1, 3, 32, 32), 4, 8
KINDS = ("float32", "float16", "int8")

TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "int8": 2e-2}
"""Of the largest score: float32 sums differ in their order, float16 keeps 11 bits, and a value
between two int8 steps may fall to either side."""

STEPS = 127.0


class Made(NamedTuple):
    """A file, what it is fed, float32 [1, 3, 32, 32], and what it should answer, float64
    [1, 4]; `tolerance` is part of the largest score."""

    file: bytes
    image: np.ndarray[Any, Any]
    scores: np.ndarray[Any, Any]
    tolerance: float


def make(kind: str, typed: bool) -> Made:
    """Args: `kind` is one of KINDS; `typed` whether the types stand in the file, and are not
    left to flags of the builder (int8 always stands in the file)."""
    weights, image = _weights(), _image()
    written = kind if typed or kind == "int8" else "float32"
    nodes, held = {"float32": _plain, "float16": _half, "int8": _quantized}[written](weights)
    inputs = [Value(INPUT, "float32", SHAPE)]
    outputs = [Value(OUTPUT, "float32", (1, CLASSES))]
    scores = _answer(weights, image, kind == "int8")
    return Made(model(nodes, held, inputs, outputs), image, scores, TOLERANCE[kind])


def _weights() -> Dict[str, np.ndarray[Any, Any]]:
    random = np.random.RandomState(7)
    shapes: Dict[str, Tuple[int, ...]] = {
        "first": (CHANNELS, 3, 3, 3),
        "second": (CHANNELS, CHANNELS, 3, 3),
        "last": (CHANNELS, CLASSES),
    }
    return {
        name: (random.standard_normal(shape) * 0.3).astype(np.float32)
        for name, shape in shapes.items()
    }


def _image() -> np.ndarray[Any, Any]:
    return np.random.RandomState(8).uniform(-1, 1, SHAPE).astype(np.float32)


def _layers(image: str, first: str, second: str, last: str, output: str) -> List[Node]:
    around = {"pads": [1, 1, 1, 1]}
    return [
        Node("Conv", [image, first], "convolved", around),
        Node("Relu", ["convolved"], "rectified"),
        Node("Conv", ["rectified", second], "convolved_again", around),
        Node("Relu", ["convolved_again"], "rectified_again"),
        Node("GlobalAveragePool", ["rectified_again"], "pooled"),
        Node("Flatten", ["pooled"], "flat"),
        Node("MatMul", ["flat", last], output),
    ]


Graph = Tuple[List[Node], Dict[str, "np.ndarray[Any, Any]"]]


def _plain(weights: Dict[str, np.ndarray[Any, Any]]) -> Graph:
    return _layers(INPUT, "first", "second", "last", OUTPUT), weights


def _half(weights: Dict[str, np.ndarray[Any, Any]]) -> Graph:
    layers = _layers("image_half", "first", "second", "last", "scores_half")
    before = Node("Cast", [INPUT], "image_half", {"to": 10})
    after = Node("Cast", ["scores_half"], OUTPUT, {"to": 1})
    halves = {name: array.astype(np.float16) for name, array in weights.items()}
    return [before, *layers, after], halves


def _quantized(weights: Dict[str, np.ndarray[Any, Any]]) -> Graph:
    """Both inputs of both convolutions, symmetric, weights per channel."""
    layers = _layers("image_rounded", "first_held", "second_held", "last", OUTPUT)
    layers[2] = layers[2]._replace(inputs=["rectified_rounded", "second_held"])
    held = {"last": weights["last"]}
    for name, step in (("image", IMAGE_SCALE), ("rectified", RECTIFIED_SCALE)):
        held[name + "_scale"] = np.array(step, np.float32)
        held[name + "_zero"] = np.array(0, np.int8)
    dequantized = []
    for name in ("first", "second"):
        scale = _channel_scale(weights[name])
        held[name + "_scale"] = scale
        held[name + "_zero"] = np.zeros(CHANNELS, np.int8)
        held[name + "_int8"] = _steps(weights[name], scale.reshape(-1, 1, 1, 1)).astype(np.int8)
        inputs = [name + "_int8", name + "_scale", name + "_zero"]
        dequantized.append(Node("DequantizeLinear", inputs, name + "_held", {"axis": 0}))
    before = [*_pair("image"), *dequantized, *layers[:2]]
    return [*before, *_pair("rectified"), *layers[2:]], held


IMAGE_SCALE, RECTIFIED_SCALE = 1 / STEPS, 4 / STEPS


def _pair(name: str) -> List[Node]:
    scale = [name + "_scale", name + "_zero"]
    return [
        Node("QuantizeLinear", [name, *scale], name + "_int8"),
        Node("DequantizeLinear", [name + "_int8", *scale], name + "_rounded"),
    ]


def _channel_scale(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(np.abs(array).max(axis=(1, 2, 3)) / STEPS, np.float32)


def _steps(array: np.ndarray[Any, Any], scale: Any) -> np.ndarray[Any, Any]:
    return np.asarray(np.clip(np.rint(array / scale), -STEPS - 1, STEPS))


def _answer(
    weights: Dict[str, np.ndarray[Any, Any]], image: np.ndarray[Any, Any], rounded: bool
) -> np.ndarray[Any, Any]:
    """The same in float64."""
    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    values = image.astype(np.float64)
    if rounded:
        values = _round(values, IMAGE_SCALE)
        for name in ("first", "second"):
            scale = _channel_scale(weights[name]).astype(np.float64).reshape(-1, 1, 1, 1)
            exact[name] = _round(exact[name], scale)
    values = np.maximum(_convolved(values, exact["first"]), 0)
    if rounded:
        values = _round(values, RECTIFIED_SCALE)
    values = np.maximum(_convolved(values, exact["second"]), 0)
    return np.asarray(values.mean(axis=(2, 3)) @ exact["last"])


def _round(array: np.ndarray[Any, Any], scale: Any) -> np.ndarray[Any, Any]:
    return np.asarray(_steps(array, scale) * scale)


def _convolved(image: np.ndarray[Any, Any], kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """3 × 3 with one zero around: [N, C, H, W] and [K, C, 3, 3] to [N, K, H, W]."""
    height, width = image.shape[2:]
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = [
        np.einsum("nchw,kc->nkhw", padded[:, :, y : y + height, x : x + width], kernel[:, :, y, x])
        for y in range(3)
        for x in range(3)
    ]
    return np.asarray(sum(parts))
