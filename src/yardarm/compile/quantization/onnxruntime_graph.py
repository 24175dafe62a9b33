"""The int8 graph for onnxruntime: each node written in the form that was chosen for it.

Ours and not onnxruntime's writer, which has all consumers of a tensor read its int8 form, also
those that stay in fp32, and knows one form a graph.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from yardarm.compile.normalising import graphs
from yardarm.compile.quantization import dynamic, encode
from yardarm.compile.quantization.encode import Parts
from yardarm.compile.quantization.forms import Form, constants, weights
from yardarm.compile.quantization.placement import Placement, place
from yardarm.compile.quantization.plan import Plan, Shifts


def write(model: ModelProto, plan: Plan) -> ModelProto:
    """Write a normalised model in the forms of a plan; inputs and outputs keep their names."""
    written = encode.assembled(model, _Writer(model, plan).write())
    dynamic.declare(written)
    return written


def placed(model: ModelProto, plan: Plan) -> Placement:
    """Where the graph changes between float32 and int8."""
    symmetric = plan.choice.symmetric_activations
    return place(model, plan.forms, plan.ranges, symmetric=symmetric)


class _Writer:
    """Goes through the nodes once. Tensors that exist in int8 get a pair of nodes where they
    first do: behind the node that makes them, or at the graph's input."""

    def __init__(self, model: ModelProto, plan: Plan) -> None:
        self._graph, self._plan, self._parts = model.graph, plan, Parts()
        self._known = constants(model)
        self._finals = {value.name for value in model.graph.output}
        self._placed = placed(model, plan)

    def write(self) -> Parts:
        for value in self._graph.input:
            self._pair(value.name)
        for node in self._graph.node:
            self._write(node)
        return self._parts

    def _write(self, node: NodeProto) -> None:
        form = self._plan.forms.get(node.name, Form.FP32)
        fresh = NodeProto()
        fresh.CopyFrom(node)
        self._read(fresh, inside=form is Form.STATIC or node.name in self._placed.movers)
        for position, name in enumerate(node.output):
            if name in self._finals & self._placed.produced:
                fresh.output[position] = f"{name}/exact"  # the pair behind it has the user's name
        match form:
            case Form.STATIC | Form.WEIGHTS if node.op_type != "Gather":
                self._weigh(fresh, node, form)
                self._parts.nodes.append(fresh)
            case Form.WEIGHTS:
                self._look_up(fresh)
            case Form.DYNAMIC:
                dynamic.write(self._parts, fresh, self._known)
            case _:
                self._parts.nodes.append(fresh)
        for name in node.output:
            self._pair(name)

    def _read(self, fresh: NodeProto, *, inside: bool) -> None:
        """Name what a node reads: int8 kernels read pairs; others do only where an int8 kernel
        made the tensor, else its exact form."""
        for position, name in enumerate(fresh.input):
            produced = name in self._placed.produced
            user_named = produced and name in self._finals  # the pair's end has the user's name
            if name in self._placed.pairs and (inside or produced) and not user_named:
                fresh.input[position] = f"{name}/float"
        rounded = {name: f"{name}/float" for name in self._placed.produced - self._finals}
        for body in graphs.bodies(fresh):
            graphs.rename(body, rounded)

    def _pair(self, name: str) -> None:
        if name not in self._placed.pairs:
            return
        chosen = self._plan.ranges[self._placed.pairs[name]]
        final = name in self._finals & self._placed.produced
        encode.activation(
            self._parts,
            f"{name}/exact" if final else name,
            encode.scale_of(chosen, self._plan.choice),
            name if final else f"{name}/float",
        )

    def _weigh(self, fresh: NodeProto, node: NodeProto, form: Form) -> None:
        scales = {}
        zero = node.op_type == "Gemm" and form is Form.STATIC  # without, onnxruntime has no kernel
        for name, axis in weights(node, self._known).items():
            values, scales[name] = self._quantized(name, axis)
            if form is Form.WEIGHTS and node.op_type == "Gemm" and axis == 0:
                made = self._upright(fresh, name, values, scales[name])
            else:
                made = self._constant(name, values, scales[name], axis, zero=zero)
            fresh.input[list(node.input).index(name)] = made
        bias = biased(node, self._known, self._plan.shifts)
        if bias is None or len(scales) != 1:
            return
        (scale,) = scales.values()
        row = _row(bias, scale) if form is Form.STATIC else None
        made = self._exact(node, bias) if row is None else self._whole(node, row, scale)
        fresh.input[:] = [*fresh.input[:2], made]

    def _upright(
        self, fresh: NodeProto, name: str, values: NDArray[np.int8], scale: NDArray[np.float32]
    ) -> str:
        """Weights of a Gemm with outputs as columns: onnxruntime mostly keeps those in int8, and
        dequantizes others whole for every inference."""
        kept = [held for held in fresh.attribute if held.name != "transB"]
        del fresh.attribute[:]
        fresh.attribute.extend(kept)
        return self._constant(f"{name}/upright", np.ascontiguousarray(values.T), scale, 1)

    def _exact(self, node: NodeProto, bias: NDArray[np.float32]) -> str:
        return self._parts.constant(f"{node.output[0]}/bias/exact", bias)

    def _whole(self, node: NodeProto, bias: NDArray[np.float32], scale: NDArray[np.float32]) -> str:
        """The bias as int32 in steps of input scale × weight scale, as int8 kernels add it; as it
        is where it has more steps than an int32, beside which weights hardly count."""
        chosen = self._plan.ranges[self._placed.pairs[node.input[0]]]
        given = encode.scale_of(chosen, self._plan.choice).scale
        steps = np.broadcast_to(np.asarray(given * scale, np.float32), bias.shape)
        if not encode.fits(bias, steps):
            return self._exact(node, bias)
        return self._constant(f"{node.output[0]}/bias", encode.whole(bias, steps), steps.copy(), 0)

    def _quantized(self, name: str, axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        array = np.asarray(numpy_helper.to_array(self._known[name]), np.float32)
        return encode.channelwise(array, axis if self._plan.choice.per_channel else None)

    def _constant(
        self,
        name: str,
        values: NDArray[np.int8] | NDArray[np.int32],
        scale: NDArray[np.float32],
        axis: int,
        *,
        zero: bool = False,
    ) -> str:
        """Weights that several nodes share are written once."""
        if f"{name}/int" not in self._parts.initializers:
            encode.constant(self._parts, name, values, scale, axis, zero=zero)
        return f"{name}/float"

    def _look_up(self, fresh: NodeProto) -> None:
        """Rows are looked up in int8 and dequantized then: the whole table never is. Its names
        are its own, for a product may read the same table in scales of another axis."""
        table, made = fresh.input[0], fresh.output[0]
        values, scale = self._quantized(table, len(self._known[table].dims) - 1)
        fresh.input[0] = self._parts.constant(f"{table}/rows/int", values)
        fresh.output[0] = f"{made}/rows"
        self._parts.nodes.append(fresh)
        scales = self._parts.constant(f"{table}/rows/scale", scale)
        axis = {"axis": -1} if scale.ndim else {}
        self._parts.node("DequantizeLinear", [f"{made}/rows", scales], made, **axis)


def biased(
    node: NodeProto, known: Mapping[str, TensorProto], shifts: Shifts
) -> NDArray[np.float32] | None:
    """The constant bias of a Conv or Gemm with its correction; None where it has none, or
    one that is no constant."""
    if node.op_type not in ("Conv", "Gemm"):
        return None
    name, shift = node.input[2] if len(node.input) > 2 else "", shifts.get(node.name)
    if not name:
        return shift
    if name not in known:
        return None
    held = np.asarray(numpy_helper.to_array(known[name]), np.float32)
    return held if shift is None else np.asarray(held.reshape(-1) + shift, np.float32)


def _row(bias: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """A bias in the shape of int8 kernels: a value for each scale, or of one axis where there
    is one scale. None where a Gemm's differs from row to row."""
    rows = bias.reshape(-1, bias.shape[-1] if bias.ndim else 1)
    if len(rows) != 1:
        return None
    return np.broadcast_to(rows[0], scale.shape) if scale.ndim else rows[0]
