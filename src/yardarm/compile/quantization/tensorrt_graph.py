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
from yardarm.compile.quantization.grids import GRIDS, Grid
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
    low = [node for node in model.graph.node if plan.forms.get(node.name) in GRIDS]
    read = [name for node in low for name in activations(node, known)]
    beside = [name for name, _ in _residuals(model, plan).values()]
    names = sorted({*read, *beside})
    nothing: frozenset[str] = frozenset()
    return Placement({name: name for name in names}, nothing, nothing, nothing)


def _target(plan: Plan) -> TensorRt:
    assert plan.tensorrt is not None
    return plan.tensorrt


def _residuals(model: ModelProto, plan: Plan) -> dict[str, tuple[str, Form]]:
    """By sum, the branch that is quantized beside a quantized convolution's result, and to what."""
    makers, readers, known = graphs.producers(model.graph), readers_of(model), constants(model)
    finals = {value.name for value in model.graph.output}
    found: dict[str, tuple[str, Form]] = {}

    def ends_in(name: str) -> Form | None:
        maker = makers.get(name)
        alone = len(readers.get(name, [])) == 1 and name not in finals
        form = plan.forms.get(maker.name) if maker is not None and alone else None
        return form if maker is not None and maker.op_type == "Conv" and form in GRIDS else None

    for node in model.graph.node:
        if node.op_type != "Add" or node.input[0] == node.input[1]:
            continue
        for own, other in (tuple(node.input), tuple(reversed(node.input))):
            form = ends_in(own)
            if form and other not in known and other in plan.ranges:
                found[node.name] = other, form
                break
    return found


def _written(model: ModelProto, plan: Plan, manner: Manner) -> ModelProto:
    return encode.assembled(model, _Writer(model, plan, manner).write())


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
            low = self._reads(node, form, name)
            if name and low:
                fresh.input[place] = self._dequantized(name, GRIDS[low], half)
            elif name and (form not in GRIDS or place != 1):
                wanted = places is not None and place in places.inputs
                fresh.input[place] = self._half(name) if wanted else self._float(name)
        for body in graphs.bodies(fresh):
            graphs.rename(body, {name: self._float(name) for name in graphs.uses(body)})
        if form in GRIDS:
            self._weigh(fresh, node, GRIDS[form], half)
        self._parts.nodes.append(fresh)
        for place in places.outputs if places else ():
            self._hand_on(fresh, place)

    def _half_inside(self, node: NodeProto, form: Form) -> bool:
        if form in GRIDS:
            return node.name in self._target.fit and self._target.half_scales
        return form is Form.FP16

    def _reads(self, node: NodeProto, form: Form, name: str) -> Form | None:
        """In which form below float16 a node takes an activation, if in one."""
        branch, low = self._residuals.get(node.name, ("", form))
        if branch == name:
            return low
        return form if form in GRIDS and name == node.input[0] else None

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

    def _dequantized(self, name: str, grid: Grid, half: bool) -> str:
        """An activation behind its pair of Q and DQ, which all that read it so share."""
        if half and not self._target.half_scales:
            return self._half(self._dequantized(name, grid, False))
        low, typed = f"{name}/{grid.name}", half and self._manner is Manner.STRONG
        scale = grid.scale(self._plan.ranges[name])
        if low not in self._made:
            self._made.add(low)
            source = name if self._target.half_scales else self._float(name)
            in_half = self._halves.get(source) == source and self._manner is Manner.STRONG
            self._parts.node(
                "QuantizeLinear", [source, *self._ends(low, grid, scale, in_half)], low
            )
        made = f"{low}/{'half' if typed else 'float'}"
        if made not in self._made:
            self._made.add(made)
            self._parts.node("DequantizeLinear", [low, *self._ends(low, grid, scale, typed)], made)
        return made

    def _ends(self, name: str, grid: Grid, scale: NDArray[np.float32], half: bool) -> list[str]:
        """Scale and zero point. That is said, for without it Q makes uint8."""
        zero = np.zeros(scale.shape, grid.kind)
        return [self._scaled(name, scale, half), self._parts.constant(f"{name}/zero", zero)]

    def _scaled(self, name: str, scale: np.float32 | NDArray[np.float32], half: bool) -> str:
        kind: type[np.generic] = np.float16 if half else np.float32
        typed = f"{name}/scale/{'half' if half else 'float'}"
        return self._parts.constant(typed, np.asarray(scale, kind))

    def _weigh(self, fresh: NodeProto, node: NodeProto, grid: Grid, half: bool) -> None:
        """Low weights with axis 0 as the outputs; what TensorRT 8 reads as float32 behind
        a pair of Q and DQ."""
        ((name, axis),) = weights(node, self._known).items()
        array = np.asarray(numpy_helper.to_array(self._known[name]), np.float32)
        turned = node.op_type != "Conv" and axis == 1
        upright = np.ascontiguousarray(array.T) if turned else array
        made = self._weights(f"{name}/upright" if turned else name, upright, grid, half)
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

    def _weights(self, name: str, array: NDArray[np.float32], grid: Grid, half: bool) -> str:
        low = f"{name}/{grid.name}/weights"
        typed = half and self._manner is Manner.STRONG
        made = f"{low}/{'half' if typed else 'float'}"
        if made in self._made:
            return made
        self._made.add(made)
        scale = grid.scales(array)
        if not self._plan.choice.per_channel:
            scale = scale.max()
        if self._manner is Manner.WEAK:
            ends = self._ends(low, grid, scale, False)
            held = self._parts.constant(f"{low}/exact", array)
            self._pair("QuantizeLinear", [held, *ends], low, scale)
        else:
            ends = [self._scaled(low, scale, typed)]
            self._parts.constant(low, grid.rounded(array, scale))
        self._pair("DequantizeLinear", [low, *ends], made, scale)
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
