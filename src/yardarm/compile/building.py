"""What TensorRT on the device is told when it builds an engine from the compiled model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from yardarm.compile.normalising import graphs
from yardarm.compile.quantization import halves
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.names import Names
from yardarm.compile.quantization.plan import Plan, TensorRt
from yardarm.compile.searching.walk import Candidate
from yardarm.datasets import Dataset, Tensor
from yardarm.errors import InvalidInput
from yardarm.profiles import Profile
from yardarm.project import Project, TensorrtSection

Shape = list[int]
WHERE = "yardarm.toml: tensorrt"
UNTYPED = frozenset(
    {"Constant", "QuantizeLinear", "DequantizeLinear", "Shape", "Size"}
)  # types are no choice of theirs


def building(
    project: Project,
    profile: Profile,
    prepared: ModelProto,
    chosen: Candidate,
    profiles: Mapping[str, Any],
) -> dict[str, Any]:
    """The section `tensorrt` of a bundle's manifest.

    Args:
        prepared: the normalised model, whose nodes the forms are for.
        profiles: as `optimisation_profiles` gives them.
    """
    plan = chosen.plan
    assert plan.tensorrt is not None
    given, usual = project.tensorrt, profile.building
    level = given.optimization_level
    return {
        "version": ".".join(map(str, plan.tensorrt.version)),
        "strongly_typed": plan.tensorrt.strong,
        "flags": [] if plan.tensorrt.strong else _flags(plan),
        "float32": []
        if plan.tensorrt.strong
        else exact_nodes(prepared, plan, plan.tensorrt, chosen.names),
        "profiles": profiles,
        "workspace_mb": given.workspace_mb or usual.workspace_mb,
        "optimization_level": usual.optimization_level if level is None else level,
    }


def _flags(plan: Plan) -> list[str]:
    flags = {Form.FP16: "fp16", Form.STATIC: "int8"}
    used = set(plan.forms.values())
    return [flag for form, flag in flags.items() if form in used]


def exact_nodes(model: ModelProto, plan: Plan, tensorrt: TensorRt, names: Names) -> list[str]:
    """The nodes that float16 was kept from, as the written file names them: all that touch a
    float and are not in it, for the builder may choose it for a comparison, too."""
    kinds, exact = halves.types(model), set()
    for node in model.graph.node:
        half = node.name in tensorrt.fit and plan.forms.get(node.name, Form.FP32) is not Form.FP32
        if not half and _touches_floats(node, kinds):
            exact.add(node.name)
    bodies = (body for node in model.graph.node for body in graphs.bodies(node))
    inside = {node.name for body in bodies for node in graphs.nodes(body) if node.name}
    return [*(short for short, name in names.nodes.items() if name in exact), *sorted(inside)]


def _touches_floats(node: NodeProto, kinds: Mapping[str, int]) -> bool:
    """Whether its arithmetic has a type to choose; nobody knows that of unknown tensors."""
    used = [name for name in (*node.input, *node.output) if name]
    return node.op_type not in UNTYPED and any(
        kinds.get(name, TensorProto.FLOAT) == TensorProto.FLOAT for name in used
    )


def optimisation_profiles(
    section: TensorrtSection, inputs: Sequence[Tensor], datasets: Sequence[Dataset]
) -> dict[str, dict[str, Shape]]:
    """The least, the usual and the largest shape of every input with an axis of any length.

    The engine is tuned for one sample, which is what a device mostly has; other axes are as
    in the data.

    Raises:
        InvalidInput: a setting names no such input, or doesn't fit it.
    """
    _check_names(section, inputs)
    return {
        tensor.name: _profile(section, tensor, datasets)
        for tensor in inputs
        if None in tensor.shape
    }


def part_axes(model: ModelProto, profiles: Mapping[str, Mapping[str, Shape]]) -> None:
    """Take the names off axes of inputs that share one and differ in length: exporters call
    every open axis alike, and for TensorRT such axes are of one length."""
    lengths: dict[str, set[tuple[int, ...]]] = {}
    axes = [
        (axis, tuple(bound[place] for bound in profiles[value.name].values()))
        for value in model.graph.input
        if value.name in profiles
        for place, axis in enumerate(value.type.tensor_type.shape.dim)
    ]
    for axis, bounds in axes:
        lengths.setdefault(axis.dim_param, set()).add(bounds)
    for axis, _ in axes:
        if axis.dim_param and len(lengths[axis.dim_param]) > 1:
            axis.ClearField("dim_param")


def _profile(
    section: TensorrtSection, tensor: Tensor, datasets: Sequence[Dataset]
) -> dict[str, Shape]:
    given = {
        "min": section.min_shapes.get(tensor.name),
        "opt": section.opt_shapes.get(tensor.name),
        "max": section.max_shapes.get(tensor.name),
    }
    usual = dict(zip(given, _usual(tensor, datasets), strict=True))
    found = {bound: list(shape or usual[bound]) for bound, shape in given.items()}
    if not all(_fits(shape, tensor) for shape in found.values()) or not _ordered(*found.values()):
        told = ", ".join(f"{bound} {shape}" for bound, shape in found.items())
        raise InvalidInput(
            f"the shapes of {tensor.name!r} don't fit it, or don't grow: {told}; "
            f"the model takes {[axis or 'any' for axis in tensor.shape]}",
            where=WHERE,
            hint="set min_shapes, opt_shapes and max_shapes with all axes, min <= opt <= max",
        )
    return found


def _usual(tensor: Tensor, datasets: Sequence[Dataset]) -> tuple[Shape, Shape, Shape]:
    layout = datasets[0].layout
    lengths = [_lengths(tensor, dataset) for dataset in datasets]
    seen = np.concatenate(lengths)
    bounds = (seen.min(axis=0), np.median(seen, axis=0).astype(int), seen.max(axis=0))
    least, middle, most = ([int(axis) for axis in bound] for bound in bounds)
    if tensor.name in layout.constant or not layout.batch:
        return least, middle, most
    axis = layout.input_axis.get(tensor.name, 0) % len(tensor.shape)
    batch = tensor.shape[axis]
    ends = (batch, batch, batch) if batch else (1, 1, layout.batch)
    shapes = [
        _with(shape, axis, end) for shape, end in zip((least, middle, most), ends, strict=True)
    ]
    return shapes[0], shapes[1], shapes[2]


def _with(shape: Shape, axis: int, length: int) -> Shape:
    return [*shape[:axis], length, *shape[axis:]]


def _lengths(tensor: Tensor, dataset: Dataset) -> np.ndarray[Any, np.dtype[np.int64]]:
    """int64 [n, axes]: shapes of an input's samples, without the sample axis."""
    shape = dataset.members[tensor.name].shape
    own = shape if tensor.name in dataset.layout.constant else shape[1:]
    if None not in own:
        return np.asarray([own], np.int64).reshape(1, -1)
    return np.asarray(list(_each(tensor, dataset)), np.int64)


def _each(tensor: Tensor, dataset: Dataset) -> Iterator[tuple[int, ...]]:
    for batch in dataset.batches(1, [tensor.name]):
        yield np.asarray(batch[tensor.name][0]).shape


def _fits(shape: Shape, tensor: Tensor) -> bool:
    return len(shape) == len(tensor.shape) and all(
        have > 0 and want in (None, have) for have, want in zip(shape, tensor.shape, strict=True)
    )


def _ordered(least: Shape, usual: Shape, most: Shape) -> bool:
    return all(a <= b <= c for a, b, c in zip(least, usual, most, strict=True))


def _check_names(section: TensorrtSection, inputs: Sequence[Tensor]) -> None:
    known = {tensor.name for tensor in inputs}
    named = {*section.min_shapes, *section.opt_shapes, *section.max_shapes}
    for name in sorted(named - known):
        raise InvalidInput(
            f"the model has no input {name!r} (it has {', '.join(sorted(known))})", where=WHERE
        )
