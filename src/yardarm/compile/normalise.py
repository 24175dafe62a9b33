"""The model brought into the shape that the quantizer and the device can take.

Raised to an operator set that the target knows, batch norms folded, constants turned into
initializers, nodes named, types inferred. It must then still answer as it did.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from yardarm.artifacts import Layout
from yardarm.compile import importing, session
from yardarm.compile.session import Engine
from yardarm.errors import Unsupported, VerificationFailed

TOLERANCE = 1e-3  # of an output's range: folding and fusing reorder float32 sums


def normalise(
    model: ModelProto,
    opset_min: int,
    opset_max: int,
    sample: Mapping[str, NDArray[np.generic]],
    layout: Layout | None = None,
) -> ModelProto:
    """A new model that answers like `model`, checked on the batch `sample`.

    Raises:
        Unsupported: no way into the operator sets, or onnxruntime can't load it.
        VerificationFailed: it answers otherwise, however carefully it is changed.
    """
    expected = Engine(model, layout=layout).run(sample)
    raised = within(model, opset_min, opset_max)
    for optimised in (True, False):
        candidate = _prepare(_optimised(raised) if optimised else raised)
        if _agree(expected, Engine(candidate, layout=layout).run(sample)):
            return candidate
    raise VerificationFailed(
        "the model answers differently after the change of its operator set",
        where=f"operator set {importing.opset(model)} to {importing.opset(raised)}",
        hint="export the model again with a newer operator set",
    )


def within(model: ModelProto, opset_min: int, opset_max: int) -> ModelProto:
    """The model in the nearest operator set of [opset_min, opset_max].

    Raises:
        Unsupported: an operator has no counterpart there; it is quoted.
    """
    have = importing.opset(model)
    want = min(max(have, opset_min), opset_max)
    if have == want:
        return model
    try:
        return onnx.version_converter.convert_version(model, want)
    except Exception as error:  # noqa: BLE001  the converter raises whatever its C++ meets
        reason = str(error).strip().splitlines()[0][:200]
        raise Unsupported(
            f"can't be converted from operator set {have} to {want}: {reason}",
            where="model",
            hint=f"export it again with an operator set from {opset_min} to {opset_max}",
        ) from None


def _optimised(model: ModelProto) -> ModelProto:
    """Batch norms folded into convolutions and constants folded, by onnxruntime's basic
    level, which stays within ONNX's own operators."""
    options = session.settings()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(file)
        Engine(model, options)
        folded = onnx.load(file)
    used = {node.domain for node in folded.graph.node}
    known = {entry.domain for entry in model.opset_import}
    kept = [entry for entry in folded.opset_import if entry.domain in used | known]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    return folded


def _prepare(model: ModelProto) -> ModelProto:
    prepared = ModelProto()
    prepared.CopyFrom(model)
    _lift_constants(prepared)
    _name_nodes(prepared)
    try:
        return onnx.shape_inference.infer_shapes(prepared)
    except Exception:  # noqa: BLE001  inference is a help: tensors of unknown type stay float
        return prepared


def _lift_constants(model: ModelProto) -> None:
    kept = []
    for node in model.graph.node:
        tensor = _constant(node)
        if tensor is None:
            kept.append(node)
        else:
            tensor.name = node.output[0]
            model.graph.initializer.append(tensor)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _constant(node: NodeProto) -> TensorProto | None:
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    held = node.attribute[0]
    match held.name:
        case "value":
            tensor = TensorProto()
            tensor.CopyFrom(held.t)
            return tensor
        case "value_float" | "value_floats":
            value = onnx.helper.get_attribute_value(held)
            return numpy_helper.from_array(np.asarray(value, np.float32))
        case "value_int" | "value_ints":
            value = onnx.helper.get_attribute_value(held)
            return numpy_helper.from_array(np.asarray(value, np.int64))
        case _:
            return None


def _name_nodes(model: ModelProto) -> None:
    """Decisions are told by node: every node gets a name of its own."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
        while node.name in taken:
            node.name += "_"
        taken.add(node.name)


def _agree(
    expected: Mapping[str, NDArray[np.generic]], found: Mapping[str, NDArray[np.generic]]
) -> bool:
    return all(_close(expected[name], found[name]) for name in expected)


def _close(expected: NDArray[np.generic], found: NDArray[np.generic]) -> bool:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if expected.dtype.kind != "f" or not expected.size:
        return bool(np.array_equal(expected, found))
    spread = float(np.ptp(expected)) or float(np.abs(expected).max())
    return bool(
        np.allclose(expected, found, rtol=0, atol=TOLERANCE * spread + 1e-6, equal_nan=True)
    )
