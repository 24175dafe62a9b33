"""What makes an int8 model answer more alike at no cost on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.quantization import encode
from yardarm.compile.quantization.forms import Form, constants, plain, weights
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.searching.sensitivity import Data, Trials, spread
from yardarm.compile.searching.variants import Rounded
from yardarm.compile.session import Engine
from yardarm.datasets import Dataset
from yardarm.events import Step

SAMPLES = 128
LITTLE = 0.05  # share of the errors that is not worth a second look
INT8_WEIGHTS = (Form.STATIC, Form.DYNAMIC, Form.WEIGHTS)
BETTER = 0.95  # share of the error that another rule must come below to be taken


def ranges_by_tensor(
    trials: Trials,
    plan: Plan,
    offered: Mapping[str, Mapping[str, Range]],
    tensors: Sequence[str],
    *,
    data: Data,
    step: Step,
) -> dict[str, Range]:
    """For each tensor that matters the range whose rounding alone disturbs the outputs least.

    Args:
        plan: its ranges stay unless another one is clearly better.
        offered: ranges by rule and tensor.
        tensors: those that exist in int8.
    """
    own = [Rounded(name, plan.ranges[name]) for name in tensors]
    first = trials.effects(own, plan, data, step)
    least = {name: effect.error for name, effect in zip(tensors, first, strict=True)}
    others = [
        Rounded(name, chosen)
        for name in _weighty(least)
        for chosen in dict.fromkeys(rule[name] for rule in offered.values() if name in rule)
        if chosen != plan.ranges[name]
    ]
    ranges = dict(plan.ranges)
    for trial, effect in zip(others, trials.effects(others, plan, data, step), strict=True):
        mine = ranges[trial.tensor] == plan.ranges[trial.tensor]
        if effect.error < least[trial.tensor] * (BETTER if mine else 1):
            least[trial.tensor], ranges[trial.tensor] = effect.error, trial.range
    return ranges


def _weighty(errors: Mapping[str, float]) -> list[str]:
    """The tensors that together make up nearly all of the errors."""
    total, found = sum(errors.values()), []
    gone = 0.0
    for name in sorted(errors, key=lambda each: (-errors[each], each)):
        if gone > (1 - LITTLE) * total:
            break
        gone += errors[name]
        found.append(name)
    return found


def bias_shifts(model: ModelProto, plan: Plan, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
    """What rounded weights add to each output channel on average, to be taken off the bias.

    Source: M. Nagel et al., "Data-free quantization through weight equalization and bias
    correction", ICCV 2019; the inputs' means are measured here.

    Returns:
        float32 [channels] by the name of a Conv or Gemm.
    """
    known = constants(model)
    nodes = [
        node
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm")
        and plain(node)
        and plan.forms.get(node.name) in INT8_WEIGHTS
        and list(weights(node, known)) == [node.input[1]]
        and (len(node.input) < 3 or not node.input[2] or _vector(known.get(node.input[2])))
    ]
    if not nodes:
        return {}
    means = _input_means(model, nodes, dataset)
    shifts = {}
    for node in nodes:
        weight = np.asarray(numpy_helper.to_array(known[node.input[1]]), np.float32)
        axis = weights(node, known)[node.input[1]]
        values, scale = encode.channelwise(weight, axis if plan.choice.per_channel else None)
        wrong = encode.dequantized(values, scale, axis if scale.ndim else None) - weight
        shifts[node.name] = np.asarray(-_answer(node, wrong, means[node.input[0]]), np.float32)
    return shifts


def _vector(tensor: object) -> bool:
    return tensor is not None and len(tensor.dims) == 1  # type: ignore[attr-defined]


def _input_means(
    model: ModelProto, nodes: Sequence[NodeProto], dataset: Dataset
) -> dict[str, NDArray[np.float64]]:
    """float64 [channels] of each node's input, over samples and positions."""
    watched = ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    places: dict[str, str] = {}
    for node in nodes:
        name = node.input[0]
        if name in places:
            continue
        places[name] = f"{name}/mean"
        op = "GlobalAveragePool" if node.op_type == "Conv" else "Identity"
        watched.graph.node.append(helper.make_node(op, [name], [places[name]]))
        watched.graph.output.append(helper.make_empty_tensor_value_info(places[name]))
    engine = Engine(watched, layout=dataset.layout)
    totals: dict[str, NDArray[np.float64]] = {}
    count = 0
    for feed in spread(dataset, engine, SAMPLES):
        count += 1
        answers = engine.run(feed)
        for name, place in places.items():
            values = np.asarray(answers[place], np.float64)
            values = values[0] if not dataset.layout.batch else values
            totals[name] = totals.get(name, 0.0) + values.reshape(*values.shape[:2], -1).mean(
                (0, 2)
            )
    return {name: total / count for name, total in totals.items()}


def _answer(
    node: NodeProto, weight: NDArray[np.float32], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The node's output, without bias, to an input that is its mean everywhere."""
    if node.op_type == "Gemm":
        turned = any(held.name == "transB" and held.i for held in node.attribute)
        return np.asarray(mean @ (weight.T if turned else weight), np.float64)
    channels, width = weight.shape[:2]
    groups = len(mean) // width
    each = mean.reshape(groups, width).repeat(channels // groups, axis=0)
    return np.asarray((weight.reshape(channels, width, -1).sum(2) * each).sum(1), np.float64)
