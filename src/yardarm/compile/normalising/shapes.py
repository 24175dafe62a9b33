"""Types and shapes of a model's tensors, as far as anybody can tell them."""

from __future__ import annotations

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from yardarm.artifacts import Layout
from yardarm.compile.normalising import graphs
from yardarm.compile.session import Engine
from yardarm.errors import YardarmError

ANY_LENGTH = Layout(batch=0)  # only loaded, never fed
TYPES = {"tensor(float)": TensorProto.FLOAT, "tensor(int64)": TensorProto.INT64}  # what matters
SMALL = 1024  # bytes; smaller initializers may be shapes, whose values inference reads


def inferred(model: ModelProto) -> ModelProto:
    """A copy that tells the type of its tensors: by ONNX's inference, else onnxruntime's.

    The weights stay out of it, so that memory doesn't double and no message grows too large.
    Whatever nobody can tell is left out.
    """
    made = graphs.producers(model.graph)
    told = _values(_by_onnx(_light(model)))
    unknown = [name for name in made if name not in told]
    told |= _by_onnxruntime(model, unknown)
    typed = graphs.copied(model)
    answers = {value.name for value in model.graph.output}
    del typed.graph.value_info[:]
    typed.graph.value_info.extend(told[name] for name in made if name in told.keys() - answers)
    for value in typed.graph.output:
        if value.name in told and not value.type.tensor_type.HasField("shape"):
            value.type.CopyFrom(told[value.name].type)
    return typed


def _values(model: ModelProto | None) -> dict[str, ValueInfoProto]:
    """What is told of each tensor; an output without a shape tells nothing."""
    if model is None:
        return {}
    outputs = [v for v in model.graph.output if v.type.tensor_type.HasField("shape")]
    return {value.name: value for value in (*model.graph.value_info, *outputs)}


def _light(model: ModelProto) -> ModelProto:
    """The model with its larger initializers as inputs, of which only the type is known."""
    large = {t.name for t in model.graph.initializer if len(t.raw_data) > SMALL}
    light = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.functions.extend(model.functions)
    graph = light.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.output.extend(model.graph.output)
    known = {value.name for value in model.graph.input}
    graph.input.extend(model.graph.input)
    for tensor in model.graph.initializer:
        if tensor.name not in large:
            graph.initializer.append(tensor)
        elif tensor.name not in known:
            graph.input.append(_type(tensor))
    return light


def _type(tensor: TensorProto) -> ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)


def _by_onnx(light: ModelProto) -> ModelProto | None:
    """With data propagated, which follows computed shapes; else plainly; else not at all."""
    for follow in (True, False):
        try:
            told: ModelProto = onnx.shape_inference.infer_shapes(light, data_prop=follow)
        except Exception:  # noqa: BLE001  inference is a help, and its errors share no base
            continue
        return told
    return None


def _by_onnxruntime(model: ModelProto, names: list[str]) -> dict[str, ValueInfoProto]:
    """What onnxruntime finds out when it loads a model; it knows its own operators too."""
    if not names:
        return {}
    asking = graphs.copied(model)
    answered = {value.name for value in model.graph.output}
    asking.graph.output.extend(ValueInfoProto(name=name) for name in names if name not in answered)
    try:
        found = Engine(asking, layout=ANY_LENGTH).types()
    except YardarmError:
        return {}
    return {
        name: helper.make_tensor_value_info(name, TYPES[kind], shape)
        for name, (kind, shape) in found.items()
        if name in names and kind in TYPES
    }
