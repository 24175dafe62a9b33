"""The int8 graph: QuantizeLinear and DequantizeLinear around what computes in int8."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry

from yardarm.compile.calibrate import floats
from yardarm.compile.ranges import Range
from yardarm.errors import Unsupported
from yardarm.profiles import Quantization

# The writer's own list for this form: convolutions, products, and what merely moves values.
# Sums and products of activations stay in fp32: in int8 they cost accuracy and won no time.
# Rounding a probability to 1/256 makes near ties into ties: these stay in fp32.
STAY_FLOAT = frozenset({"Softmax", "LogSoftmax"})
TYPES = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}


def quantize(model: ModelProto, ranges: Mapping[str, Range], choice: Quantization) -> ModelProto:
    """Write the int8 form of a normalised model.

    Args:
        ranges: lowest and highest value to represent, by float32 tensor. Nodes that touch
            a float32 tensor without one stay in fp32.
        choice: the profile's [quantization].

    Raises:
        Unsupported: the graph can't be written; quotes why.
    """
    source = ModelProto()
    source.CopyFrom(model)
    with _quietly():
        try:
            written: ModelProto = _writer(source, ranges, choice).quantize_model()
        except Exception as error:
            raise Unsupported(f"can't be quantized: {error}", where="model") from error
    return written


def _writer(model: ModelProto, ranges: Mapping[str, Range], choice: Quantization) -> QDQQuantizer:
    data = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    return QDQQuantizer(
        model,
        choice.per_channel,
        False,  # reduce_range: seven bits, for x86 without VNNI; ARM has no such overflow
        QuantType.QInt8,
        TYPES[choice.activations],
        TensorsData(CalibrationMethod.MinMax, data),
        [],
        uncovered(model, ranges),
        sorted(set(QDQRegistry) - STAY_FLOAT),
        {"ActivationSymmetric": choice.symmetric_activations, "WeightSymmetric": True},
    )


def uncovered(model: ModelProto, ranges: Mapping[str, Range]) -> list[str]:
    """Names of the nodes that touch a float32 tensor for which there is no range."""
    blind = set(floats(model)) - set(ranges)
    return [node.name for node in model.graph.node if blind & {*node.input, *node.output}]


def precisions(model: ModelProto) -> list[dict[str, str]]:
    """Each node of a written model with what it computes in: `name`, `op`, `precision`.

    int8: it stands between a DequantizeLinear and a QuantizeLinear, which engines fuse with
    it; else the type of its first output.
    """
    quantized = {n.input[0] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    dequantized = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    types = {value.name: value.type.tensor_type.elem_type for value in _typed(model)}
    return [
        {
            "name": node.name,
            "op": node.op_type,
            "precision": "int8"
            if node.output[0] in quantized and dequantized & set(node.input[:1])
            else _type_name(types.get(node.output[0], TensorProto.UNDEFINED)),
        }
        for node in model.graph.node
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear")
    ]


def _typed(model: ModelProto) -> list[ValueInfoProto]:
    return [*model.graph.value_info, *model.graph.output]


def _type_name(kind: int) -> str:
    if kind == TensorProto.UNDEFINED:
        return "unknown"
    name = str(np.dtype(helper.tensor_dtype_to_np_dtype(kind)))
    return {"float32": "fp32", "float16": "fp16"}.get(name, name)


@contextmanager
def _quietly() -> Iterator[None]:
    """The writer logs advice for people who call it themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
