"""In which forms a node can compute, and where its constant weights are."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from onnx import ModelProto, NodeProto, TensorProto, helper

LEAST = 16  # values of a weight for which a scale and a node of its own pay


class Form(StrEnum):
    """What a node computes in.

    FP16: inputs, weights and output in float16; for TensorRT.
    FP8: inputs and weights in float8 (E4M3), output in float16 or float32; for TensorRT.
    STATIC: inputs, weights and output in int8 with scales from calibration. For TensorRT the
        output is float16, or float32 where that does not hold it; engines fuse what follows.
    DYNAMIC: weights in int8, inputs quantized as they come, float32 output.
    WEIGHTS: weights kept in int8 and dequantized, arithmetic in float32.
    """

    FP32 = "fp32"
    FP16 = "fp16"
    FP8 = "fp8"
    STATIC = "int8"
    DYNAMIC = "int8-dynamic"
    WEIGHTS = "int8-weights"


# Fastest first. onnxruntime's int8 kernels for CPUs decide what is here: it has none for GRU,
# and normalisation, softmax and activation functions would be dequantized around.
_WEIGHTED: Mapping[str, tuple[Form, ...]] = {
    "Conv": (Form.STATIC, Form.WEIGHTS),
    "ConvTranspose": (Form.WEIGHTS,),
    "Gemm": (Form.STATIC, Form.DYNAMIC, Form.WEIGHTS),
    "MatMul": (Form.STATIC, Form.DYNAMIC, Form.WEIGHTS),
    "LSTM": (Form.DYNAMIC, Form.WEIGHTS),
    "GRU": (Form.WEIGHTS,),
    "RNN": (Form.WEIGHTS,),
    "Gather": (Form.WEIGHTS,),
    "Attention": (Form.DYNAMIC, Form.WEIGHTS),
}
_ACTIVATIONS = frozenset({"MatMul", "Add", "Mul", "GlobalAveragePool", "AveragePool", "Concat"})
# Input and channel axis of what may be a constant weight.
_PLACES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "Conv": ((1, 0),),
    "ConvTranspose": ((1, 1),),
    "MatMul": ((1, -1),),
    "LSTM": ((1, 1), (2, 1)),
    "GRU": ((1, 1), (2, 1)),
    "RNN": ((1, 1), (2, 1)),
    "Gather": ((0, -1),),
    "Attention": ((1, 1),),
}
DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
CONTRIB = "com.microsoft"  # onnxruntime's own operators


def constants(model: ModelProto) -> dict[str, TensorProto]:
    """The graph's initializers that nobody can feed, by name."""
    fed = {value.name for value in model.graph.input}
    return {tensor.name: tensor for tensor in model.graph.initializer if tensor.name not in fed}


def weights(node: NodeProto, known: Mapping[str, TensorProto]) -> dict[str, int]:
    """The constant float32 weights of a node that may become int8, with their channel axis."""
    found = {}
    for place, axis in _places(node):
        tensor = known.get(node.input[place]) if place < len(node.input) else None
        if tensor is not None and _large(tensor):
            found[tensor.name] = axis % len(tensor.dims)
    return found


def ladder(node: NodeProto, known: Mapping[str, TensorProto]) -> tuple[Form, ...]:
    """The forms that a node can take, fastest first, fp32 at the end."""
    fused = node.domain == CONTRIB and node.op_type == "Attention"
    if (node.domain not in DEFAULT_DOMAINS or node.op_type == "Attention") and not fused:
        return (Form.FP32,)
    if weights(node, known):
        forms = _WEIGHTED.get(node.op_type, ())
    elif node.op_type in _ACTIVATIONS and _computes(node, known):
        forms = (Form.STATIC,)
    else:
        forms = ()
    return (*(form for form in forms if _possible(node, form, known)), Form.FP32)


def tensorrt_ladder(
    node: NodeProto,
    known: Mapping[str, TensorProto],
    fit: frozenset[str],
    low: tuple[Form, ...],
) -> tuple[Form, ...]:
    """The same for TensorRT. Products of two activations are not for int8: attention loses all
    of its accuracy by that.

    Args:
        fit: names of the nodes that float16 can carry.
        low: what the device has below float16.
    """
    half = (Form.FP16,) if node.name in fit else ()
    weighed = (
        node.domain in DEFAULT_DOMAINS and len(weights(node, known)) == 1 and _weighed(node, known)
    )
    return (*(low if weighed else ()), *half, Form.FP32)


def _weighed(node: NodeProto, known: Mapping[str, TensorProto]) -> bool:
    """Its second input is a weight that TensorRT's int8 kernels take."""
    if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in weights(node, known):
        return False
    bias = node.input[2] if len(node.input) > 2 else ""
    return (not bias or bias in known) and (
        node.op_type == "Conv" or (plain(node) and len(known[node.input[1]].dims) == 2)
    )


def plain(node: NodeProto) -> bool:
    """A Gemm that is a product and a sum, nothing turned or multiplied besides."""
    usual = {"transA": 0.0, "alpha": 1.0, "beta": 1.0}
    return all(_attribute(node, name, value) == value for name, value in usual.items())


def _places(node: NodeProto) -> tuple[tuple[int, int], ...]:
    if node.op_type == "Gemm":
        return ((1, 0 if _attribute(node, "transB", 0) else 1),)
    if node.op_type == "Gather" and _attribute(node, "axis", 0):
        return ()
    return _PLACES.get(node.op_type, ())


def _large(tensor: TensorProto) -> bool:
    size = 1
    for dim in tensor.dims:
        size *= dim
    return bool(tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and size >= LEAST)


def _computes(node: NodeProto, known: Mapping[str, TensorProto]) -> bool:
    """Not where an input is a small constant: adding a bias in int8 has no gain."""
    return not any(name in known for name in node.input)


def _possible(node: NodeProto, form: Form, known: Mapping[str, TensorProto]) -> bool:
    if form is Form.DYNAMIC and node.op_type == "Gemm":
        return plain(node)
    if form is Form.DYNAMIC and node.op_type == "MatMul":
        return len(known[node.input[1]].dims) == 2
    if form is Form.DYNAMIC and node.op_type == "LSTM":
        return len(weights(node, known)) == 2 and not (len(node.input) > 7 and node.input[7])
    if form is Form.DYNAMIC and node.op_type == "Attention":
        return not any(node.input[4:]) and not any(
            held.name == "qkv_hidden_sizes" for held in node.attribute
        )
    if form is Form.STATIC and node.op_type == "MatMul" and node.input[1] in known:
        return len(known[node.input[1]].dims) == 2
    return True


def _attribute(node: NodeProto, name: str, default: float) -> float:
    for held in node.attribute:
        if held.name == name:
            return float(helper.get_attribute_value(held))
    return default
