"""Networks of known classes with seeded random weights, so that no file has to be fetched.

He's initialisation keeps activations of one size through the layers, and batch norms carry
statistics and scales that differ by channel, as those of trained networks do. Layers and
widths follow the papers: MobileNetV2 (Sandler et al. 2018, table 2) and ResNet-50 (He et al.
2016, table 1, with the stride on the 3×3 convolution).

`networks.py FOLDER` writes each, normalised, and images for them: `mobilenet.onnx`,
`resnet.onnx`, `64.npz` and `512.npz`.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CLASSES = 1000
SIDE = 224
# expansion, channels, blocks, stride of the first
INVERTED = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]
# width of the 3×3, blocks, stride of the first
BOTTLENECKS = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]


class Builder:
    """A graph that grows by layers; every method takes and returns tensors' names."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[TensorProto] = []

    def convolution(
        self, x: str, channels: tuple[int, int], kernel: int, stride: int = 1, groups: int = 1
    ) -> str:
        """Convolution and batch norm, from channels[0] to channels[1]."""
        into, out = channels
        fan = into // groups * kernel**2
        shape = (out, into // groups, kernel, kernel)
        weight = self._weight(self._random.normal(0, math.sqrt(2 / fan), shape))
        pads = [kernel // 2] * 4
        y = self._node("Conv", [x, weight], pads=pads, strides=[stride] * 2, group=groups)
        return self._node("BatchNormalization", [y, *self._norm(out)])

    def activation(self, x: str, ceiling: float | None = None) -> str:
        if ceiling is None:
            return self._node("Relu", [x])
        return self._node("Clip", [x, self._weight(np.array(0.0)), self._weight(np.array(ceiling))])

    def sum(self, x: str, y: str) -> str:
        return self._node("Add", [x, y])

    def pool(self, x: str) -> str:
        return self._node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    def classifier(self, x: str, channels: int) -> None:
        mean = self._node("Flatten", [self._node("GlobalAveragePool", [x])])
        weight = self._random.normal(0, math.sqrt(1 / channels), (channels, CLASSES))
        inputs = [mean, self._weight(weight), self._weight(np.zeros(CLASSES))]
        self._nodes.append(helper.make_node("Gemm", inputs, ["logits"], name="classifier"))

    def model(self, name: str) -> onnx.ModelProto:
        tensor = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            name,
            [tensor("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
            [tensor("logits", TensorProto.FLOAT, ["N", CLASSES])],
            self._weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)

    def _norm(self, channels: int) -> list[str]:
        """Scale, shift, mean and variance."""
        draw = self._random
        values = [
            draw.uniform(0.5, 1.2, channels),
            draw.normal(0, 0.3, channels),
            draw.normal(0, 0.2, channels),
            draw.uniform(0.6, 1.6, channels),
        ]
        return [self._weight(value) for value in values]

    def _weight(self, value: NDArray[np.float64]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def _node(self, op: str, inputs: list[str], **attributes: object) -> str:
        name = f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name


def mobilenet() -> onnx.ModelProto:
    """MobileNetV2, 3.5 M parameters, 0.3 G multiplications an image."""
    build = Builder(2)
    x, width = build.activation(build.convolution("image", (3, 32), 3, 2), 6.0), 32
    for expansion, channels, blocks, stride in INVERTED:
        for block in range(blocks):
            step = stride if block == 0 else 1
            y, inner = x, width * expansion
            if expansion > 1:
                y = build.activation(build.convolution(y, (width, inner), 1), 6.0)
            y = build.activation(build.convolution(y, (inner, inner), 3, step, inner), 6.0)
            y = build.convolution(y, (inner, channels), 1)
            x = build.sum(x, y) if step == 1 and width == channels else y
            width = channels
    build.classifier(build.activation(build.convolution(x, (width, 1280), 1), 6.0), 1280)
    return build.model("mobilenet")


def resnet() -> onnx.ModelProto:
    """ResNet-50, 25.6 M parameters, 4.1 G multiplications an image."""
    build = Builder(50)
    x = build.pool(build.activation(build.convolution("image", (3, 64), 7, 2)))
    width = 64
    for inner, blocks, stride in BOTTLENECKS:
        for block in range(blocks):
            step, out = (stride if block == 0 else 1), 4 * inner
            y = build.activation(build.convolution(x, (width, inner), 1))
            y = build.activation(build.convolution(y, (inner, inner), 3, step))
            y = build.convolution(y, (inner, out), 1)
            beside = build.convolution(x, (width, out), 1, step) if block == 0 else x
            x, width = build.activation(build.sum(y, beside)), out
    build.classifier(x, width)
    return build.model("resnet")


def images(seed: int, count: int) -> NDArray[np.float32]:
    """[count, 3, 224, 224]: colour patches under noise, so that neighbours resemble each other."""
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 1, (count, 3, 14, 14)).astype(np.float32)
    patches = coarse.repeat(16, axis=2).repeat(16, axis=3)
    return patches + random.normal(0, 0.2, patches.shape).astype(np.float32)


def write(folder: Path) -> None:
    from yardarm.compile.normalising.normalise import normalise

    for count in (64, 512):
        np.savez(folder / f"{count}.npz", image=images(1, count))
    for network in (mobilenet, resnet):
        model = normalise(network(), 13, 21, {"image": images(1, 2)})
        onnx.save(model, folder / f"{network.__name__}.onnx")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
