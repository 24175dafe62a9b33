"""The tensors by which an int8 model is held against its original.

These are the outputs, but for probabilities: the few samples near a decision would decide alone
which of two models errs less, for all others are rounded to 0 and 1. There the logits tell more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from yardarm.compile.normalising import graphs
from yardarm.compile.session import Arrays

SQUASHING = frozenset({"Softmax", "Sigmoid", "LogSoftmax"})


def witnesses(model: ModelProto) -> list[str]:
    """A tensor for each output of a model, in the outputs' order."""
    makers = graphs.producers(model.graph)
    fed = {value.name for value in model.graph.input}
    found = []
    for value in model.graph.output:
        maker = _made(value.name, makers)
        before = maker.input[0] if maker is not None and maker.op_type in SQUASHING else ""
        found.append(before if before in makers and before not in fed else value.name)
    return found


def _made(name: str, makers: Mapping[str, NodeProto]) -> NodeProto | None:
    """The node that computes a tensor, before it is cast."""
    maker = makers.get(name)
    while maker is not None and maker.op_type == "Cast":
        maker = makers.get(maker.input[0])
    return maker


def watched(model: ModelProto) -> ModelProto:
    """The model with its witnesses among its outputs, behind its own."""
    shown = ModelProto()
    shown.CopyFrom(model)
    own = {value.name for value in model.graph.output}
    for name in dict.fromkeys(witnesses(model)):
        if name not in own:
            shown.graph.output.append(helper.make_empty_tensor_value_info(name))
    return shown


def error(expected: Arrays, wanted: Sequence[str], found: Arrays, given: Sequence[str]) -> float:
    """Mean squared error of witnesses, relative to their mean square, summed over them.

    Args:
        wanted, given: the witnesses' names in either model; float ones count.
    """
    pairs = [(expected[one], found[other]) for one, other in zip(wanted, given, strict=True)]
    return sum(_relative(one, other) for one, other in pairs if one.dtype.kind in "fO")


def _relative(want: NDArray[np.generic], have: NDArray[np.generic]) -> float:
    if want.dtype == object:
        return float(np.mean([_relative(a, b) for a, b in zip(want, have, strict=True)]))
    truth = np.asarray(want, np.float64)
    if truth.shape != have.shape:
        return np.inf
    if not truth.size:
        return 0.0
    wrong = float(np.mean((truth - np.asarray(have, np.float64)) ** 2))
    return wrong / (float(np.mean(truth**2)) + 1e-12) if np.isfinite(wrong) else np.inf
