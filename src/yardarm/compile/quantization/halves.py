"""Which nodes float16 can carry, told by types, ranges over real data and constants.

float16 holds magnitudes up to 65,504, and below 6.1e-5 it loses digits (IEEE 754 binary16).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.normalising import graphs
from yardarm.compile.quantization.forms import LEAST, constants

LARGEST = 65_504.0
NORMAL = 2.0**-14  # the smallest magnitude with all of its digits
SMALLEST = 2.0**-24  # that is not zero
HEADROOM = 2.0  # inputs of the field may be larger than what was calibrated on
HALF = "tensor(float16)"
# Their results' types follow from a setting, not from what they read.
_FIXED = frozenset(
    {"Cast", "CastLike", "Constant", "ConstantOfShape", "EyeLike", "QuantizeLinear",
     "DequantizeLinear", "DynamicQuantizeLinear"}
)  # fmt: skip
REFUSED = frozenset(
    {"Celu", "MeanVarianceNormalization"}
)  # in float16, by the parser of TensorRT-RTX 1.7
# Parsers make several layers of these: what is between them (squares, sums of exponentials, a
# softmax whose logarithm is taken) may leave float16 where inputs and outputs do not, and is
# nowhere seen. Newer parsers put some of it in float32. Source: the layers that TensorRT-RTX 1.7
# makes of them, and NVIDIA's onnx-tensorrt, onnxOpImporters.cpp.
INSIDE = frozenset(
    {"GlobalLpPool", "LogSoftmax", "LpNormalization", "LpPool", "ReduceL2", "ReduceLogSum",
     "ReduceLogSumExp"}
)  # fmt: skip


@dataclass(frozen=True)
class Typed:
    """Which inputs and outputs of a node take the type that it computes in, by place."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def types(model: ModelProto) -> dict[str, int]:
    """ONNX's element type of every tensor that tells it."""
    graph = model.graph
    values = (*graph.value_info, *graph.input, *graph.output)
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


def typed(node: NodeProto, kinds: Mapping[str, int], opset: int) -> Typed | None:
    """The places of a node that can be float16 together; None where there is no choice."""
    if node.domain not in graphs.STANDARD or any(graphs.bodies(node)):
        return None
    if node.op_type in _FIXED | REFUSED | INSIDE:
        return None
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    variables, untold, inputs = set(), set(), []
    for place, formal in _formal(schema.inputs, len(node.input)):
        name = node.input[place]
        if name and not kinds.get(name):
            untold.add(formal.type_str)
        elif name and kinds[name] == TensorProto.FLOAT and HALF in formal.types:
            variables.add(formal.type_str)
            inputs.append(place)
    if variables & untold:
        return None
    outputs = tuple(
        place
        for place, formal in _formal(schema.outputs, len(node.output))
        if node.output[place] and formal.type_str in variables
    )
    return Typed(tuple(inputs), outputs) if inputs and outputs else None


def _formal(
    declared: Sequence[onnx.defs.OpSchema.FormalParameter], count: int
) -> Iterator[tuple[int, onnx.defs.OpSchema.FormalParameter]]:
    """Each actual parameter's place with its declaration; the last one may stand for many."""
    for place in range(count):
        yield place, declared[min(place, len(declared) - 1)]


def fit(model: ModelProto, extremes: Mapping[str, Range], opset: int) -> frozenset[str]:
    """Names of the nodes that float16 can carry.

    Args:
        extremes: lowest and highest value of each float tensor, over real data. A tensor that
            is not in it is not trusted.
    """
    kinds, known = types(model), constants(model)
    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in known.items()}
    return frozenset(
        node.name
        for node in model.graph.node
        if (places := typed(node, kinds, opset))
        and all(_holds(node.input[place], arrays, extremes) for place in places.inputs)
        and all(_holds(node.output[place], arrays, extremes) for place in places.outputs)
    )


def _holds(
    name: str, arrays: Mapping[str, NDArray[np.generic]], extremes: Mapping[str, Range]
) -> bool:
    if name in arrays:
        return _representable(np.asarray(arrays[name], np.float64))
    if name not in extremes:
        return False
    low, high = extremes[name]
    return bool(max(-low, high) * HEADROOM <= LARGEST)


def _representable(values: NDArray[np.float64]) -> bool:
    """No overflow; and of few values, none that loses its digits: a divisor's epsilon of 1e-12
    would be zero. Among many, small ones hardly count."""
    sizes = np.abs(values)
    if not sizes.size:
        return True
    kept = sizes[sizes > 0].min(initial=np.inf) >= NORMAL if sizes.size < LEAST else True
    return bool(sizes.max() <= LARGEST and kept)


def rounded_up(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales that float16 holds exactly, none smaller than it was: nothing more is clipped.
    Where one is too large for it, what it scales is too, and stays float32 as the scale does."""
    within = np.minimum(scale, np.float32(LARGEST))
    halves = np.asarray(within, np.float16)
    halves = np.where(halves < within, np.nextafter(halves, np.float16(LARGEST)), halves)
    return np.where(scale > LARGEST, scale, np.asarray(halves, np.float32))
