"""Numbers as int8: the parts that a quantized graph is put together from.

int8 value q stands for (q − zero point) × scale, as ONNX's QuantizeLinear defines it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.normalising import graphs
from yardarm.profiles import Quantization

WEIGHT_LIMIT = 127
BIAS_LIMIT = 2**30  # of int32: sums stay clear of its end
LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


@dataclass
class Parts:
    """Nodes and initializers that something needs, in the order of their making."""

    nodes: list[NodeProto] = field(default_factory=list)
    initializers: dict[str, TensorProto] = field(default_factory=dict)

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.initializers[name] = numpy_helper.from_array(values, name)
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: int) -> str:
        fresh = helper.make_node(op, inputs, [output], name=f"{output}/{op}")
        fresh.attribute.extend(helper.make_attribute(*pair) for pair in attributes.items())
        self.nodes.append(fresh)
        return output


def assembled(model: ModelProto, parts: Parts) -> ModelProto:
    """A model's inputs and outputs around other nodes, with the constants that these still read:
    in the bodies of If and Loop too."""
    written = graphs.copied(model)
    del written.graph.node[:], written.graph.value_info[:], written.graph.initializer[:]
    written.graph.node.extend(parts.nodes)
    used = set(graphs.uses(written.graph))
    fed = {value.name for value in (*model.graph.input, *model.graph.output)}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used | fed]
    written.graph.initializer.extend([*kept, *parts.initializers.values()])
    return written


@dataclass(frozen=True)
class Scale:
    """How an activation becomes int8: `zero` is the integer that stands for 0.0."""

    scale: np.float32
    zero: NDArray[np.generic]


def scale_of(chosen: Range, choice: Quantization) -> Scale:
    """The scale that covers a range. Zero is always represented exactly: padding and ReLU
    need it."""
    least, most = LIMITS[choice.activations]
    low, high = min(chosen[0], 0.0), max(chosen[1], 0.0)
    kind = np.dtype(choice.activations)
    if choice.symmetric_activations:
        middle = np.asarray((least + most + 1) // 2, kind)
        return Scale(_usable(max(-low, high) / WEIGHT_LIMIT), middle)
    scale = _usable((high - low) / (most - least))
    zero = np.clip(np.round(least - low / scale), least, most)
    return Scale(scale, np.asarray(zero, kind))


def _usable(scale: float) -> np.float32:
    """1 where a tensor is always zero; never a number that float32 rounds to zero."""
    return np.float32(scale) if scale > np.finfo(np.float32).tiny else np.float32(1.0)


def channelwise(
    weight: NDArray[np.float32], axis: int | None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A weight in int8, symmetric.

    Args:
        axis: a scale for each index along it; None: one for all.

    Returns:
        int8 of the weight's shape, and float32 [channels] or [].
    """
    others = None if axis is None else tuple(n for n in range(weight.ndim) if n != axis)
    largest = np.abs(weight).max(axis=others)
    scale = np.asarray(np.where(largest > 0, largest / WEIGHT_LIMIT, 1), np.float32)
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    return rounded(weight, scale, axis), scale


def rounded(
    weight: NDArray[np.float32], scale: NDArray[np.float32], axis: int | None
) -> NDArray[np.int8]:
    """The nearest int8 values, halves to even."""
    steps = np.round(weight / along(scale, weight.ndim, axis))
    return np.asarray(np.clip(steps, -WEIGHT_LIMIT, WEIGHT_LIMIT), np.int8)


def along(scale: NDArray[np.float32], ndim: int, axis: int | None) -> NDArray[np.float32]:
    """A scale for each channel in a shape that broadcasts over the weight."""
    if axis is None:
        return scale
    return scale.reshape([-1 if n == axis else 1 for n in range(ndim)])


def dequantized(
    values: NDArray[np.int8], scale: NDArray[np.float32], axis: int | None
) -> NDArray[np.float32]:
    return np.asarray(values * along(scale, values.ndim, axis), np.float32)


def fits(bias: NDArray[np.float32], steps: NDArray[np.float32]) -> bool:
    """Whether a bias is an int32 in whole steps."""
    return bool((np.abs(bias) <= steps.astype(np.float64) * BIAS_LIMIT).all())


def whole(bias: NDArray[np.float32], steps: NDArray[np.float32]) -> NDArray[np.int32]:
    """A bias that fits, in whole steps."""
    return np.round(bias.astype(np.float64) / steps).astype(np.int32)


def activation(parts: Parts, tensor: str, scale: Scale, output: str) -> str:
    """Quantize a tensor and dequantize it again into `output`."""
    base = output.removesuffix("/float")
    ends = [
        parts.constant(f"{base}/scale", np.asarray(scale.scale)),
        parts.constant(f"{base}/zero", scale.zero),
    ]
    parts.node("QuantizeLinear", [tensor, *ends], f"{base}/int8")
    return parts.node("DequantizeLinear", [f"{base}/int8", *ends], output)


def constant(
    parts: Parts,
    name: str,
    values: NDArray[np.int8] | NDArray[np.int32],
    scale: NDArray[np.float32],
    axis: int,
    *,
    zero: bool = False,
) -> str:
    """A constant kept as integers; returns the dequantized tensor's name.

    Args:
        scale: [] for one scale, else one for each index along `axis`.
        zero: write the zero point, which is 0 and else left out: it is as long as the scale.
    """
    inputs = [parts.constant(f"{name}/int", values), parts.constant(f"{name}/scale", scale)]
    if zero:
        inputs.append(parts.constant(f"{name}/zero", np.zeros(scale.shape, values.dtype)))
    if not scale.ndim:
        return parts.node("DequantizeLinear", inputs, f"{name}/float")
    return parts.node("DequantizeLinear", inputs, f"{name}/float", axis=axis)
