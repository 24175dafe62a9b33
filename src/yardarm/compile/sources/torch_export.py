"""From a torch module to ONNX: by torch.export, or by the older exporter where that fails."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.artifacts import Layout
from yardarm.compile.normalising import graphs, opsets
from yardarm.compile.session import Arrays
from yardarm.compile.sources import checking, importing, torch_library, torch_names
from yardarm.compile.sources.parity import Trace
from yardarm.compile.sources.torch_session import intermediates
from yardarm.compile.sources.torch_source import TorchSource
from yardarm.errors import Unsupported

PREFERRED = 20  # the newest set whose operators onnxruntime's quantizer knows
NATIVE = 18  # below it torch's exporter has nothing of its own
OLDER = range(9, 21)  # what the older exporter writes


@dataclass(frozen=True)
class Exported:
    """
    Attributes:
        traced: the program whose tensors are called as the model's; None where the older
            exporter wrote the model, in names of its own.
        notes: what a reader of the result should know, in whole sentences.
    """

    model: ModelProto
    traced: Any
    names: Mapping[str, str]
    notes: tuple[str, ...]


def export(source: TorchSource, layout: Layout, lowest: int, highest: int) -> Exported:
    """The module as ONNX, in an operator set that can be brought into [lowest, highest].

    The same module gives the same bytes. Nodes are called by the module that they come from.

    Raises:
        Unsupported: neither exporter can write it; quotes why.
    """
    with torch_library.silence(), torch_library.torch().no_grad():
        try:
            return _by_export(source, layout, lowest, highest)
        except Exception as error:  # noqa: BLE001  torch raises whatever it meets
            reason = _reason(error)
        try:
            model = _by_tracing(source, layout, lowest, highest)
        except Exception as error:  # noqa: BLE001  likewise
            raise Unsupported(
                f"torch can't export the module: {reason}",
                where=torch_library.WHERE,
                hint=f"nor can its older exporter: {_reason(error)}",
            ) from None
        note = f"torch.export can't take the module ({reason}): the older exporter wrote it."
        return Exported(model, None, {}, (note,))


def trace(source: TorchSource, exported: Exported) -> Trace | None:
    """How to get at the inner tensors of the module, under the names of the model's."""
    if exported.traced is None:
        return None

    def run(feed: Arrays) -> Iterator[tuple[str, NDArray[np.generic]]]:
        for name, values in intermediates(source, exported.traced, feed):
            yield exported.names.get(name, name), values

    return run


def _by_export(source: TorchSource, layout: Layout, lowest: int, highest: int) -> Exported:
    program = source.program or _program(source, layout)
    want = min(max(PREFERRED, lowest), max(highest, NATIVE))
    written = torch_library.torch().onnx.export(
        program, dynamo=True, opset_version=want, verbose=False
    )
    model = graphs.copied(written.model_proto)
    torch_names.name_nodes(model.graph)
    torch_names.free_lengths(model.graph)
    names = torch_names.rename_ports(model.graph, source)
    torch_names.bare(model)
    if told := checking.breach(model):
        raise ValueError(told)
    next(opsets.ways(model, lowest, highest))  # else the older one may know how
    return Exported(model, written.exported_program, names, tuple(_fixed(model, layout)))


def _program(source: TorchSource, layout: Layout) -> Any:
    """The module as a graph: its sample axis free, or fixed where the module demands that."""
    library = torch_library.torch()
    if source.shapes is not None:
        return _graph(source, source.shapes)
    widened = _widened(source, layout)
    axes = dict(_axes(source.inputs, layout))
    free = library.export.ShapesCollection()
    for name, value in _values(widened):
        if name in axes and value.ndim > axes[name]:
            free[value] = {axes[name]: library.export.Dim.AUTO}
    try:
        return _graph(widened, free)
    except Exception as error:  # noqa: BLE001  torch raises whatever it meets
        try:
            return _graph(source, None)
        except Exception:  # noqa: BLE001  likewise; the first reason says more
            raise error from None


def _graph(source: TorchSource, shapes: Any) -> Any:
    return torch_library.torch().export.export(
        source.module,
        source.arguments,
        dict(source.keywords),
        dynamic_shapes=shapes,
        strict=False,
    )


def _fixed(model: ModelProto, layout: Layout) -> Iterator[str]:
    """What is told where a module allows no other number of samples than its example's."""
    axes = dict(_axes((value.name for value in model.graph.input), layout))
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        axis = axes.get(value.name, len(dims))
        if axis < len(dims) and dims[axis].dim_value:
            yield f"The module takes {dims[axis].dim_value} samples at a time in {value.name}."


def _by_tracing(source: TorchSource, layout: Layout, lowest: int, highest: int) -> ModelProto:
    want = min(max(17, lowest), highest, OLDER[-1])
    axes = {name: {axis: torch_names.BATCH} for name, axis in _axes(source.inputs, layout)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        torch_library.torch().onnx.export(
            source.module,
            source.arguments,
            file,
            kwargs=dict(source.keywords),
            dynamo=False,
            opset_version=want,
            input_names=list(source.inputs),
            output_names=list(source.outputs),
            dynamic_axes=axes | {name: {0: torch_names.BATCH} for name in source.outputs if axes},
            verbose=False,
        )
        model = importing.load(file)
    torch_names.free_lengths(model.graph)
    torch_names.rename_ports(model.graph, source)
    torch_names.bare(model)
    return model


def _axes(names: Iterable[str], layout: Layout) -> list[tuple[str, int]]:
    """The inputs that hold samples, each with the axis that does."""
    if not layout.batch:
        return []
    return [(name, layout.input_axis.get(name, 0)) for name in names if name not in layout.constant]


def _values(source: TorchSource) -> list[tuple[str, Any]]:
    values = (*source.arguments, *source.keywords.values())
    return list(zip(source.inputs, values, strict=True))


def _widened(source: TorchSource, layout: Layout) -> TorchSource:
    """One sample twice: torch takes an axis of length 1 for one that is always 1."""
    axes = dict(_axes(source.inputs, layout))
    wide = [_twice(value, axes.get(name)) for name, value in _values(source)]
    count = len(source.arguments)
    keywords = dict(zip(source.keywords, wide[count:], strict=True))
    return replace(source, arguments=tuple(wide[:count]), keywords=keywords)


def _twice(value: Any, axis: int | None) -> Any:
    """A new tensor in either case, so that no two inputs are one."""
    if axis is None or value.ndim <= axis or value.shape[axis] != 1:
        return value.clone()
    return torch_library.torch().cat([value, value], dim=axis)


def _reason(error: BaseException) -> str:
    """The first line that says something: torch begins with a headline of its own."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    text = re.sub(r"\x1b\[[0-9;]*m", "", lines[0] if lines else "")
    return f"{type(cause).__name__}: {text[:200]}" if text else type(cause).__name__
