"""A model from its file, checked before anything is done with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, ValueInfoProto

from yardarm.compile.normalising import shapes
from yardarm.compile.sources import checking, operators
from yardarm.datasets import Tensor
from yardarm.errors import InvalidInput, Unsupported

LARGEST = 1_900_000_000  # bytes; protobuf can't hold a message of 2 GiB


def present(file: Path) -> Path:
    """Raises InvalidInput where there is no such file."""
    if not file.is_file():
        raise InvalidInput(
            "that is a folder, and no model file"
            if file.is_dir()
            else "there is no such model file",
            where=str(file),
            hint="a project names it as `source` under [model]",
        )
    return file


def load(file: Path, *, lenient: bool = False) -> ModelProto:
    """Read an ONNX model with its external data.

    Args:
        lenient: let operators pass that nobody knows, for those who tell all of them at once.

    Raises:
        InvalidInput: missing, truncated, not ONNX, or a graph that breaks ONNX's own rules.
        Unsupported: larger than one protobuf message can be; an operator that nobody knows;
            inputs or outputs that are no tensors.
    """
    model = _read(present(file))
    if not model.graph.node:
        raise InvalidInput(
            "not an ONNX model: it has no graph", where=str(file), hint="export it again"
        )
    if model.ByteSize() > LARGEST:
        raise Unsupported(f"models above {LARGEST / 1e9:.1f} GB can't be compiled", where=str(file))
    _check(model, file, lenient)
    _shape_outputs(model)
    inputs(model), outputs(model)
    return model


def _shape_outputs(model: ModelProto) -> None:
    """Outputs without a shape get the one that can be inferred."""
    if all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
        return
    told = {value.name: value for value in shapes.inferred(model).graph.output}
    for value in model.graph.output:
        value.CopyFrom(told[value.name])


def _read(file: Path) -> ModelProto:
    try:
        return onnx.load(file)
    except DecodeError:
        raise InvalidInput(
            "not an ONNX model, or a truncated one", where=str(file), hint="export it again"
        ) from None
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise InvalidInput(f"can't be read: {error}", where=str(file)) from None


def _check(model: ModelProto, file: Path, lenient: bool) -> None:
    if not lenient:
        operators.check(model)
    _free_initializers(model)
    strange = lenient and (opset(model) > operators.NEWEST or any(operators.unknown(model)))
    if not strange and (told := checking.breach(model)):
        raise InvalidInput(f"not a valid ONNX model: {told}", where=str(file))


def _free_initializers(model: ModelProto) -> None:
    """File formats before 4 want every initializer among the inputs; some exporters didn't
    care, and neither does onnxruntime."""
    fed = {value.name for value in model.graph.input}
    if any(tensor.name not in fed for tensor in model.graph.initializer):
        model.ir_version = max(model.ir_version, 4)


def opset(model: ModelProto) -> int:
    """The version of ONNX's default operator set; 0 where the model imports none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return max(versions, default=0)


def inputs(model: ModelProto) -> tuple[Tensor, ...]:
    """What has to be fed: the graph's inputs without those that initializers fill.

    Raises:
        Unsupported: an input that is no tensor of numbers, or of no known rank.
    """
    filled = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in filled]
    for value in fed:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            raise Unsupported(
                "the model doesn't say how many axes this input has",
                where=value.name,
                hint="export it again with the shapes of its inputs",
            )
    return tuple(map(_tensor, fed))


def outputs(model: ModelProto) -> tuple[Tensor, ...]:
    """What the graph answers; no axes are told where the model doesn't say how many there are.
    Raises Unsupported for an output that is no tensor."""
    return tuple(map(_tensor, model.graph.output))


def _tensor(value: ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type == TensorProto.UNDEFINED:
        raise Unsupported("inputs and outputs must be tensors", where=value.name)
    shape = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim)
    return Tensor(value.name, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)
