"""The graph for TensorRT: float16 and float32 as types, int8 as pairs of Q and DQ where its
rules want them.

Both inputs of a convolution or product are quantized, and the other branch of a sum that a
quantized convolution ends in, so that the engine fuses the sum; never a bias, and never what
a convolution hands to the activation behind it. Weights have a scale for each index of axis 0.
Source: NVIDIA TensorRT developer guide, "Explicit quantization", its placement rules.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from yardarm.compile.normalising import graphs
from yardarm.compile.quantization import encode, halves
from yardarm.compile.quantization.encode import Parts
from yardarm.compile.quantization.forms import Form, constants, weights
from yardarm.compile.quantization.placement import Placement, activations, readers_of
from yardarm.compile.quantization.plan import Plan, TensorRt


class Manner(Enum):
    """How float16 is written down.

    HOST: float32, rounded to float16 wherever the device keeps float16. onnxruntime on a CPU
        computes what is typed float16 in float32 and leaves the rounding out.
    STRONG: as types, which the engine follows.
    WEAK: not at all; builder flags allow it.
    """

    HOST = 0
    STRONG = 1
    WEAK = 2


def rounded(model: ModelProto, plan: Plan) -> ModelProto:
    """A graph that answers on a CPU as the typed one does on the device, but for the order of
    sums: they are float32 here."""
    return _written(model, plan, Manner.HOST)


def typed(model: ModelProto, plan: Plan) -> ModelProto:
    """The graph that TensorRT builds. Inputs and outputs keep names and types."""
    return _written(model, plan, Manner.STRONG if _target(plan).strong else Manner.WEAK)


def placed(model: ModelProto, plan: Plan) -> Placement:
    """The tensors that are read in int8. None is made in it: engines decide that by fusing."""
    known = constants(model)
    static = [node for node in model.graph.node if plan.forms.get(node.name) is Form.STATIC]
    read = [name for node in static for name in activations(node, known)]
    residual = _residuals(model, plan)
    names = sorted({*read, *residual.values()})
    nothing: frozenset[str] = frozenset()
    return Placement({name: name for name in names}, nothing, nothing, nothing)


def _target(plan: Plan) -> TensorRt:
    assert plan.tensorrt is not None
    return plan.tensorrt


def _residuals(model: ModelProto, plan: Plan) -> dict[str, str]:
    """By sum, the branch that is quantized beside a quantized convolution's result."""
    makers, readers, known = graphs.producers(model.graph), readers_of(model), constants(model)
    finals = {value.name for value in model.graph.output}
    found: dict[str, str] = {}

    def ends_in(name: str) -> bool:
        maker = makers.get(name)
        return (
            maker is not None
            and maker.op_type == "Conv"
            and plan.forms.get(maker.name) is Form.STATIC
            and len(readers.get(name, [])) == 1
            and name not in finals
        )

    for node in model.graph.node:
        if node.op_type != "Add" or node.input[0] == node.input[1]:
            continue
        for own, other in (tuple(node.input), tuple(reversed(node.input))):
            if ends_in(own) and other not in known and other in plan.ranges:
                found[node.name] = other
                break
    return found


def _written(model: ModelProto, plan: Plan, manner: Manner) -> ModelProto:
    written = ModelProto()
    written.CopyFrom(model)
    parts = _Writer(model, plan, manner).write()
    del written.graph.node[:], written.graph.value_info[:], written.graph.initializer[:]
    written.graph.node.extend(parts.nodes)
    used = set(graphs.uses(written.graph))
    fed = {value.name for value in model.graph.input} | {v.name for v in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used | fed]
    written.graph.initializer.extend([*kept, *parts.initializers.values()])
    return written


class _Writer:
    """Goes through the nodes once. `halves` are the tensors that exist in float16, each with
    the name that it has in that type."""

    def __init__(self, model: ModelProto, plan: Plan, manner: Manner) -> None:
        self._graph, self._plan, self._manner = model.graph, plan, manner
        self._target, self._parts = _target(plan), Parts()
        self._known, self._kinds = constants(model), halves.types(model)
        self._finals = {value.name for value in model.graph.output}
        self._residuals = _residuals(model, plan)
        self._halves: dict[str, str] = {}
        self._made: set[str] = set()

    def write(self) -> Parts:
        for node in self._graph.node:
            self._write(node)
        return self._parts

    def _write(self, node: NodeProto) -> None:
        form = self._plan.forms.get(node.name, Form.FP32)
        half = self._half_inside(node, form)
        places = halves.typed(node, self._kinds, self._target.opset) if half else None
        fresh = NodeProto()
        fresh.CopyFrom(node)
        for place, name in enumerate(node.input):
            if name and self._reads_int8(node, form, name):
                fresh.input[place] = self._dequantized(name, half)
            elif name and (form is not Form.STATIC or place != 1):
                wanted = places is not None and place in places.inputs
                fresh.input[place] = self._half(name) if wanted else self._float(name)
        for body in graphs.bodies(fresh):
            graphs.rename(body, {name: self._float(name) for name in graphs.uses(body)})
        if form is Form.STATIC:
            self._weigh(fresh, node, half)
        self._parts.nodes.append(fresh)
        for place in places.outputs if places else ():
            self._hand_on(fresh, place)

    def _half_inside(self, node: NodeProto, form: Form) -> bool:
        if form is Form.STATIC:
            return node.name in self._target.fit and self._target.half_scales
        return form is Form.FP16

    def _reads_int8(self, node: NodeProto, form: Form, name: str) -> bool:
        if self._residuals.get(node.name) == name:
            return True
        return form is Form.STATIC and name == node.input[0]

    def _hand_on(self, fresh: NodeProto, place: int) -> None:
        """A result in float16. A user's output is float32 nevertheless."""
        name = fresh.output[place]
        if self._manner is Manner.HOST:
            fresh.output[place] = f"{name}/exact"
            self._round(f"{name}/exact", name)
            self._halves[name] = name
        elif self._manner is Manner.STRONG and name in self._finals:
            fresh.output[place] = self._halves[name] = f"{name}/half"
            self._cast(f"{name}/half", name, TensorProto.FLOAT)
        elif self._manner is Manner.STRONG:
            self._halves[name] = name

    def _half(self, name: str) -> str:
        """A float tensor in float16."""
        if self._manner is Manner.WEAK:
            return name
        if name in self._halves:
            return self._halves[name]
        made = self._halves[name] = f"{name}/half"
        if name in self._known:
            values = numpy_helper.to_array(self._known[name]).astype(np.float16)
            self._constant(made, values)
        elif self._manner is Manner.HOST:
            self._round(name, made)
        else:
            self._cast(name, made, TensorProto.FLOAT16)
        return made

    def _float(self, name: str) -> str:
        """A float tensor in float32; others as they are."""
        if self._manner is not Manner.STRONG or self._halves.get(name) != name:
            return name
        if f"{name}/float" not in self._made:
            self._made.add(f"{name}/float")
            self._cast(name, f"{name}/float", TensorProto.FLOAT)
        return f"{name}/float"

    def _dequantized(self, name: str, half: bool) -> str:
        """An activation behind its pair of Q and DQ, which all that read it in int8 share."""
        if half and not self._target.half_scales:
            return self._half(self._dequantized(name, False))
        scale, typed = self._scale(name), half and self._manner is Manner.STRONG
        if f"{name}/int8" not in self._made:
            self._made.add(f"{name}/int8")
            source = name if self._target.half_scales else self._float(name)
            in_half = self._halves.get(source) == source and self._manner is Manner.STRONG
            ends = [self._scaled(name, scale.scale, in_half), self._zero(f"{name}/zero", 0)]
            self._parts.node("QuantizeLinear", [source, *ends], f"{name}/int8")
        made = f"{name}/int8/{'half' if typed else 'float'}"
        if made not in self._made:
            self._made.add(made)
            ends = [self._scaled(name, scale.scale, typed), self._zero(f"{name}/zero", 0)]
            self._parts.node("DequantizeLinear", [f"{name}/int8", *ends], made)
        return made

    def _scale(self, name: str) -> encode.Scale:
        found = encode.scale_of(self._plan.ranges[name], self._plan.choice)
        return encode.Scale(np.float32(halves.rounded_up(np.asarray(found.scale))), found.zero)

    def _scaled(self, name: str, scale: np.float32 | NDArray[np.float32], half: bool) -> str:
        kind: type[np.generic] = np.float16 if half else np.float32
        typed = f"{name}/scale/{'half' if half else 'float'}"
        return self._parts.constant(typed, np.asarray(scale, kind))

    def _zero(self, name: str, channels: int) -> str:
        """Said, for without it Q makes uint8."""
        return self._parts.constant(name, np.zeros(channels or (), np.int8))

    def _weigh(self, fresh: NodeProto, node: NodeProto, half: bool) -> None:
        """Weights as int8 with axis 0 as the outputs; what TensorRT 8 reads as float32 behind
        a pair of Q and DQ."""
        ((name, axis),) = weights(node, self._known).items()
        array = np.asarray(numpy_helper.to_array(self._known[name]), np.float32)
        turned = node.op_type != "Conv" and axis == 1
        upright = np.ascontiguousarray(array.T) if turned else array
        made = self._weights(f"{name}/upright" if turned else name, upright, half)
        if turned and node.op_type == "Gemm":
            kept = [held for held in fresh.attribute if held.name != "transB"]
            del fresh.attribute[:]
            fresh.attribute.extend([*kept, helper.make_attribute("transB", 1)])
        elif turned and f"{made}/turned" not in self._made:
            self._made.add(f"{made}/turned")
            self._turn(made, f"{made}/turned")
        fresh.input[1] = f"{made}/turned" if turned and node.op_type == "MatMul" else made
        self._shift(fresh, node, half)

    def _turn(self, name: str, made: str) -> None:
        self._parts.nodes.append(
            helper.make_node("Transpose", [name], [made], name=f"{made}/Transpose", perm=[1, 0])
        )

    def _weights(self, name: str, array: NDArray[np.float32], half: bool) -> str:
        typed = half and self._manner is Manner.STRONG
        made = f"{name}/dequantized/{'half' if typed else 'float'}"
        if made in self._made:
            return made
        self._made.add(made)
        axis = 0 if self._plan.choice.per_channel else None
        _, exact = encode.channelwise(array, axis)
        scale = halves.rounded_up(exact)
        inside = [self._scaled(f"{name}/weights", scale, typed)]
        if self._manner is Manner.WEAK:
            inside.append(self._zero(f"{name}/weights/zero", scale.size if scale.ndim else 0))
            held = self._parts.constant(f"{name}/weights", array)
            self._pair("QuantizeLinear", [held, *inside], f"{name}/int8", scale)
        else:
            self._parts.constant(f"{name}/int8", encode.rounded(array, scale, axis))
        self._pair("DequantizeLinear", [f"{name}/int8", *inside], made, scale)
        return made

    def _pair(self, op: str, inputs: list[str], made: str, scale: NDArray[np.float32]) -> None:
        axis = {"axis": 0} if scale.ndim else {}
        self._parts.node(op, inputs, made, **axis)

    def _shift(self, fresh: NodeProto, node: NodeProto, half: bool) -> None:
        """The bias with its correction; it stays a float."""
        shift = self._plan.shifts.get(node.name)
        if shift is None:
            return
        name = node.input[2] if len(node.input) > 2 else ""
        held = numpy_helper.to_array(self._known[name]) if name else np.float32(0)
        bias = np.asarray(held + shift, np.float16 if half else np.float32)
        made = f"{node.output[0]}/bias"
        fresh.input[:] = [*fresh.input[:2], self._constant(made, bias)]

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        """float16 values as the manner has them."""
        if self._manner is not Manner.STRONG:
            values = values.astype(np.float32)
        return self._parts.constant(name, values)

    def _round(self, name: str, made: str) -> None:
        self._cast(name, f"{made}/float16", TensorProto.FLOAT16)
        self._cast(f"{made}/float16", made, TensorProto.FLOAT)

    def _cast(self, name: str, made: str, kind: int) -> None:
        self._parts.node("Cast", [name], made, to=kind)
