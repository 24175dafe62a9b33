"""Models brought down into an operator set older than their own, as old engines want it.

ONNX's converter knows hardly a way down. What is here is what exporters write: operators that
ONNX defines by others are spelled out, and settings that moved to inputs move back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TypeProto, helper, numpy_helper

from yardarm.compile.normalising import graphs
from yardarm.compile.sources import importing

AXES_AS_INPUT = 18  # since when reductions and Pad take their axes so


def lowered(model: ModelProto, want: int) -> ModelProto:
    """The model in the operator set `want`, as far as a way is known for each of its nodes.

    What has none is left as it is: the checker will say so.
    """
    changed = spelled_out(model, lambda op: not _exists(op, want), want)
    for graph in _graphs(changed.graph):
        known = {tensor.name: tensor for tensor in graph.initializer}
        shapes = _shapes(graph)
        for node in graph.node:
            adapt = _ADAPTERS.get(node.op_type)
            if adapt and node.domain in graphs.STANDARD and want < AXES_AS_INPUT:
                adapt(_Site(graph, node, known, shapes))
    for entry in changed.opset_import:
        if entry.domain in graphs.STANDARD:
            entry.version = want
    return changed


def spelled_out(model: ModelProto, unknown: Callable[[str], bool], want: int) -> ModelProto:
    """The model with ONNX's own operators that are `unknown` written by those that ONNX defines
    them with; without that where it defines none.

    Args:
        want: the operator set whose definition is taken, or the newest before it.
    """
    changed = graphs.copied(model)
    types = _types(changed.graph)
    for graph in _graphs(changed.graph):
        nodes = []
        for node in graph.node:
            foreign = node.domain in graphs.STANDARD and unknown(node.op_type)
            body = _body(node, types, want, importing.opset(model)) if foreign else None
            nodes += list(_inlined(node, body)) if body else [node]
        graphs.replace_nodes(graph, nodes)
    return changed


def defined(op: str) -> bool:
    """Whether ONNX says by which other operators this one of its own can be written."""
    schema: Any = (
        onnx.defs.get_schema(op, onnx.defs.onnx_opset_version(), "") if _known(op) else None
    )
    return bool(schema and (schema.has_function or schema.has_context_dependent_function))


def _known(op: str) -> bool:
    return onnx.defs.has(op, "")


def _exists(op: str, want: int) -> bool:
    try:
        onnx.defs.get_schema(op, want, "")
    except onnx.defs.SchemaError:
        return False
    return True


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for body in graphs.bodies(node):
            yield from _graphs(body)


def _types(graph: GraphProto) -> dict[str, TypeProto]:
    values = (*graph.input, *graph.value_info, *graph.output)
    found = {value.name: value.type for value in values}
    for tensor in graph.initializer:
        found[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    return found


def _shapes(graph: GraphProto) -> dict[str, list[int]]:
    """Of the tensors whose shape is known but for open axes, which are 0."""
    return {
        name: [axis.dim_value for axis in held.tensor_type.shape.dim]
        for name, held in _types(graph).items()
        if held.tensor_type.HasField("shape")
    }


def _body(
    node: NodeProto, types: Mapping[str, TypeProto], want: int, have: int
) -> FunctionProto | None:
    """What ONNX defines an operator with; a LayerNormalization in better terms."""
    if own := _layer_norm(node, types, want):
        return own
    schema: Any = onnx.defs.get_schema(node.op_type, have, "")
    if schema.has_context_dependent_function:
        held = [types.get(name, TypeProto()).SerializeToString() for name in node.input]
        versions = schema.context_dependent_function_opset_versions
        version = _nearest(versions, want)
        found = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), held
        )
    elif schema.has_function:
        version = _nearest(schema.function_opset_versions, want)
        found = schema.get_function_with_opset_version(version)
    else:
        return None
    return FunctionProto.FromString(found) if found else None


def _layer_norm(node: NodeProto, types: Mapping[str, TypeProto], want: int) -> FunctionProto | None:
    """The variance as a mean of squared distances. ONNX's own definition takes the mean of squares
    less the square of the mean, of which float16 leaves nothing where the mean is large."""
    held = types.get(node.input[0], TypeProto()).tensor_type
    rank = len(held.shape.dim)
    several = any(node.output[1:])
    if node.op_type != "LayerNormalization" or want >= AXES_AS_INPUT or not rank or several:
        return None
    told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    axes = list(range(told.get("axis", -1) % rank, rank))
    biased = len(node.input) > 2 and bool(node.input[2])
    make = helper.make_node
    nodes = [
        make("ReduceMean", ["X"], ["mean"], axes=axes, keepdims=1),
        make("Sub", ["X", "mean"], ["distance"]),
        make("Mul", ["distance", "distance"], ["squares"]),
        make("ReduceMean", ["squares"], ["variance"], axes=axes, keepdims=1),
        make("Constant", [], ["epsilon"], value_float=told.get("epsilon", 1e-5)),
        make("Add", ["variance", "epsilon"], ["positive"]),
        make("Sqrt", ["positive"], ["deviation"]),
        make("Div", ["distance", "deviation"], ["normal"]),
        make("Mul", ["normal", "Scale"], ["scaled" if biased else "Y"]),
        *([make("Add", ["scaled", "B"], ["Y"])] if biased else []),
    ]
    inputs = ["X", "Scale", *(["B"] if biased else [])]
    return helper.make_function(
        "", node.op_type, inputs, ["Y"], nodes, [helper.make_opsetid("", want)]
    )


def _nearest(versions: list[int], want: int) -> int:
    return max((version for version in versions if version <= want), default=min(versions))


def _inlined(node: NodeProto, body: FunctionProto) -> Iterator[NodeProto]:
    names = dict(zip(body.input, node.input, strict=False))
    names |= dict.fromkeys(body.input[len(node.input) :], "")
    names |= dict(zip(body.output, node.output, strict=False))
    given = {held.name: held for held in node.attribute}
    for number, inner in enumerate(body.node):
        fresh = NodeProto()
        fresh.CopyFrom(inner)
        prefix = node.name or node.output[0]
        fresh.name = f"{prefix}/{inner.op_type}_{number}"
        fresh.input[:] = [
            names.get(name, f"{prefix}/{name}") if name else "" for name in inner.input
        ]
        fresh.output[:] = [names.get(name, f"{prefix}/{name}") for name in inner.output]
        del fresh.attribute[:]
        for held in inner.attribute:
            taken = given.get(held.ref_attr_name) if held.ref_attr_name else held
            if taken is not None:
                copy = fresh.attribute.add()
                copy.CopyFrom(taken)
                copy.name = held.name
        yield fresh


@dataclass(frozen=True)
class _Site:
    """A node with the constants and shapes around it."""

    graph: GraphProto
    node: NodeProto
    known: Mapping[str, onnx.TensorProto]
    shapes: Mapping[str, list[int]]

    def constant(self, place: int) -> list[int] | None:
        """The whole numbers of a constant input; None where it isn't one."""
        if place >= len(self.node.input) or self.node.input[place] not in self.known:
            return None
        values = numpy_helper.to_array(self.known[self.node.input[place]])
        return [int(value) for value in values.reshape(-1)]

    def take(self, *names: str) -> None:
        """Strike attributes."""
        kept = [held for held in self.node.attribute if held.name not in names]
        copies = [onnx.AttributeProto.FromString(held.SerializeToString()) for held in kept]
        del self.node.attribute[:]
        self.node.attribute.extend(copies)

    def add(self, what: str, values: list[int]) -> str:
        """A new constant of whole numbers; its name."""
        name = f"{self.node.output[0]}/{what}"
        array = np.array(values, np.int64)
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def attribute(self, name: str, default: int) -> int:
        found = (held.i for held in self.node.attribute if held.name == name)
        return next(found, default)


def _reduce(site: _Site) -> None:
    """Axes were a setting."""
    axes = site.constant(1)
    if len(site.node.input) < 2 or not site.node.input[1]:
        unreduced = site.attribute("noop_with_empty_axes", 0)
        if not unreduced:
            site.take("noop_with_empty_axes")
            del site.node.input[1:]
        return
    if axes:
        site.take("noop_with_empty_axes")
        site.node.attribute.append(helper.make_attribute("axes", axes))
        del site.node.input[1:]


def _split(site: _Site) -> None:
    """Before, an axis was split evenly if nothing was said."""
    parts = len(site.node.output)
    shape = site.shapes.get(site.node.input[0], [])
    axis = site.attribute("axis", 0)
    if -len(shape) <= axis < len(shape) and shape[axis] and shape[axis] % parts == 0:
        site.take("num_outputs")


def _pad(site: _Site) -> None:
    """Before, every axis was told."""
    axes, pads = site.constant(3), site.constant(1)
    rank = len(site.shapes.get(site.node.input[0], []))
    if len(site.node.input) > 3 and not site.node.input[3]:
        del site.node.input[3:]
    elif axes and pads and rank:
        whole = [0] * (2 * rank)
        for place, axis in enumerate(axes):
            whole[axis % rank] = pads[place]
            whole[rank + axis % rank] = pads[len(axes) + place]
        del site.node.input[3:]
        site.node.input[1] = site.add("pads", whole)


def _resize(site: _Site) -> None:
    """Without them it is what it was."""
    if not site.attribute("antialias", 0):
        site.take("antialias", "keep_aspect_ratio_policy")


def _grid_sample(site: _Site) -> None:
    """Modes had other names."""
    for held in site.node.attribute:
        if held.name == "mode":
            held.s = {b"linear": b"bilinear", b"cubic": b"bicubic"}.get(held.s, held.s)


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
_ADAPTERS: Mapping[str, Callable[[_Site], None]] = {
    **{f"Reduce{name}": _reduce for name in _REDUCTIONS},
    "GridSample": _grid_sample,
    "Split": _split,
    "Pad": _pad,
    "Resize": _resize,
}
