"""The model brought into the shape that the quantizer and the device can take.

Tidied, raised or lowered to an operator set that the target knows, batch norms folded,
spelled-out activations gathered, shared weights split, nodes named, types inferred. It must
then still answer as it did: each change that it can do without is given up before that.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.artifacts import Layout
from yardarm.compile import session
from yardarm.compile.normalising import (
    agreement,
    graphs,
    hard_swish,
    lowering,
    opsets,
    shapes,
    sharing,
    tidying,
)
from yardarm.compile.session import Arrays, Engine
from yardarm.compile.sources import importing, operators
from yardarm.errors import Unsupported, VerificationFailed, YardarmError

GROWTH = 1 << 20  # bytes that folded constants may add; a filled tensor can be huge


def normalise(
    model: ModelProto,
    opset_min: int,
    opset_max: int,
    sample: Mapping[str, NDArray[np.generic]],
    layout: Layout | None = None,
    *,
    operators: frozenset[str] | None = None,
) -> ModelProto:
    """A new model that answers like `model`, checked on the batch `sample`.

    Args:
        operators: those of ONNX's own that the target has; default: all. Others are spelled out
            where ONNX defines them by these.

    Raises:
        Unsupported: no way into the operator sets, or onnxruntime can't load it (the node is
            named).
        VerificationFailed: it answers otherwise, however carefully it is changed; the output
            is named.
    """
    expected = _answers(model, sample, layout)
    reason = ""
    for candidate in _candidates(model, opset_min, opset_max, operators):
        try:
            found = Engine(candidate, layout=layout).run(sample)
        except YardarmError as error:
            reason = reason or str(error)
            continue
        differs = agreement.difference(expected, found)
        if not differs:
            return candidate
        reason = reason or differs
    raise VerificationFailed(
        f"the model answers differently after the change of its operator set: {reason}",
        where=f"operator set {importing.opset(model)}, to one of {opset_min} to {opset_max}",
        hint="export the model again with a newer operator set",
    )


def _answers(model: ModelProto, sample: session.Feed, layout: Layout | None) -> Arrays:
    try:
        return Engine(model, layout=layout).run(sample)
    except Unsupported as error:
        raise operators.explained(model, error) from None


def _candidates(
    model: ModelProto, lowest: int, highest: int, operators: frozenset[str] | None
) -> Iterator[ModelProto]:
    """Models that should answer like `model`, the best first."""
    for candidate in _written(model, lowest, highest):
        if operators is None or (had := _operators(candidate)) <= operators:
            yield candidate
            continue
        spelled = _spelled_out(candidate, operators, had)
        # What ONNX spells out casts float32 to itself and hides its constants behind nodes.
        with contextlib.suppress(Unsupported):
            folded = _folded(spelled)
            if _operators(folded) <= operators:
                yield _finished(folded, model)
        yield _finished(spelled, model)
        yield candidate  # the target's own check will tell what it lacks


def _operators(model: ModelProto) -> frozenset[str]:
    own = (node for node in graphs.nodes(model.graph) if node.domain in graphs.STANDARD)
    return frozenset(node.op_type for node in own)


def _spelled_out(model: ModelProto, operators: frozenset[str], had: frozenset[str]) -> ModelProto:
    lacking = had - operators
    return lowering.spelled_out(model, lacking.__contains__, importing.opset(model))


def _written(model: ModelProto, lowest: int, highest: int) -> Iterator[ModelProto]:
    plain = tidying.tidied(model)
    if not importing.opset(plain):  # none of ONNX's own operators so far
        plain.opset_import.append(onnx.helper.make_opsetid("", lowest))
    try:
        # Folded before, too: the converter writes less where shapes are known.
        for raised in opsets.ways(_folded(plain), lowest, highest):
            yield _finished(_gathered(_folded(raised), highest), model)
            yield _finished(_folded(raised), model)
    except Unsupported:
        pass
    for raised in opsets.ways(plain, lowest, highest):
        yield _finished(_gathered(raised, highest), model)
        yield _finished(raised, model)


def _gathered(model: ModelProto, highest: int) -> ModelProto:
    """Hard-swish put together, in the operator set that has it where the target takes that."""
    have = importing.opset(model)
    if have < hard_swish.SINCE <= highest and hard_swish.spelled_out(model):
        model = opsets.converted(model, hard_swish.SINCE) or model
    return hard_swish.gathered(tidying.tidied(model), importing.opset(model))


def _folded(model: ModelProto) -> ModelProto:
    """Batch norms folded into convolutions and constants folded, by onnxruntime's basic
    level, which stays within ONNX's own operators."""
    folded = _optimised(model)
    if folded.ByteSize() > model.ByteSize() + GROWTH:
        folded = _optimised(model, leave=["ConstantFolding"])
    return folded


def _optimised(model: ModelProto, leave: list[str] | None = None) -> ModelProto:
    options = session.settings()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(file)
        Engine(model, options, layout=shapes.ANY_LENGTH, leave=leave)
        return tidying.tidied(onnx.load(file))


def _finished(model: ModelProto, original: ModelProto) -> ModelProto:
    """Tidy, split, named and typed; documentation and metadata are the original's."""
    finished = sharing.split(tidying.tidied(model))
    opsets.settle(finished)
    _name_nodes(finished, original)
    _describe(finished, original)
    return shapes.inferred(finished)


def _describe(model: ModelProto, original: ModelProto) -> None:
    model.doc_string, model.domain = original.doc_string, original.domain
    model.producer_name, model.producer_version = original.producer_name, original.producer_version
    model.model_version = original.model_version
    model.graph.name, model.graph.doc_string = original.graph.name, original.graph.doc_string
    del model.metadata_props[:]
    model.metadata_props.extend(original.metadata_props)


def _name_nodes(model: ModelProto, original: ModelProto) -> None:
    """Decisions are told by node: every node gets a name of its own, its old one where there
    was one."""
    known = {name: node.name for node in original.graph.node for name in node.output}
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        node.name = node.name or known.get(node.output[0], "")
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
        while node.name in taken:
            node.name += "_"
        taken.add(node.name)
