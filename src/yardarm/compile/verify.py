"""Golden inputs: by their answers a device shows that it runs the same model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.artifacts import Layout
from yardarm.compile.searching.scoring import Answers
from yardarm.compile.searching.witnesses import error, watched, witnesses
from yardarm.compile.session import Arrays, Engine, Feed, joined, settings
from yardarm.datasets import Dataset
from yardarm.errors import Unsupported, VerificationFailed

GOLDEN = 8
ALIKE = 0.05  # .005 was seen where int8 follows on what is rounded to float16 or not
TOLERANCE = 0.05
"""Share of an output's observed range by which a device may differ. int8 kernels round
differently on ARM and x86: up to 1.6 % of the range was seen on correct devices."""


def golden(
    engine: Engine,
    dataset: Dataset,
    before: Mapping[str, NDArray[np.generic]],
    after: Answers,
) -> dict[str, NDArray[np.generic]]:
    """A few samples with what the written file answers to them.

    Args:
        before: the original's scored outputs.
        after: what the written file answered over the whole set.

    Returns:
        `input/<name>` and `output/<name>` [G, …], constant inputs whole, `tolerance/<name>`
        float64 [2] (absolute, relative).

    Raises:
        VerificationFailed: the written file answers NaN or infinity.
    """
    if after.broken:
        raise VerificationFailed(
            "the compiled model answers NaN or infinity", where=f"outputs {', '.join(after.broken)}"
        )
    chosen = _steady(before, after)
    inputs = _picked(dataset, chosen, engine.inputs)
    found: dict[str, NDArray[np.generic]] = {}
    for name, values in inputs.items():
        found[f"input/{name}"] = values
    for name, values in engine.run(inputs).items():
        span = after.high.get(name, 0.0) - after.low.get(name, 0.0)
        allowed = TOLERANCE * span if values.dtype.kind == "f" else 0.0
        found[f"output/{name}"] = values
        found[f"tolerance/{name}"] = np.array([allowed, 0.0], np.float64)
    return found


def check_alike(scored: ModelProto, written: ModelProto, sample: Feed, layout: Layout) -> str:
    """Hold a file for TensorRT, which onnxruntime runs as well but rounds less, against what
    is scored in its place. Node by node: what onnxruntime 1.32 fuses of float16 behind int8
    answers wrongly, where a sum follows on a convolution.

    Returns:
        why nothing could be compared; "" where it was. Not every operator has a float16 kernel
        on CPUs.

    Raises:
        VerificationFailed: their outputs differ.
    """
    literal = settings()
    literal.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    expected = Engine(watched(scored), literal, layout=layout).run(sample)
    try:
        found = Engine(watched(written), literal, layout=layout).run(sample)
    except (Unsupported, VerificationFailed) as reason:
        return reason.what
    gap = error(expected, witnesses(scored), found, witnesses(written))
    if not gap <= ALIKE:
        raise VerificationFailed(
            f"the written file answers otherwise than what was scored: outputs differ by {gap:.3g} "
            f"of their mean square, {ALIKE:g} is allowed",
            where="model.onnx",
        )
    return ""


def _steady(before: Mapping[str, NDArray[np.generic]], after: Answers) -> NDArray[np.int64]:
    """Samples spread over the set.

    Where quantization alone moved the answer by more than the tolerance, rounding matters
    much, and a correct device may differ too: those samples are poor witnesses. Samples of
    another shape than the first can't be in one array with it.
    """
    scored = after.scored
    moved = np.max([_moved(before[name], scored[name], after, name) for name in scored], axis=0)
    steady = np.flatnonzero(moved <= TOLERANCE / 2)
    if len(steady) < GOLDEN:
        steady = np.sort(np.argsort(moved, kind="stable")[:GOLDEN])
    places = np.linspace(0, len(steady) - 1, min(GOLDEN, len(steady)))
    return np.asarray(steady[places.round().astype(np.int64)], np.int64)


def _moved(
    before: NDArray[np.generic], after: NDArray[np.generic], seen: Answers, name: str
) -> NDArray[np.float64]:
    """By sample the largest change, as a share of the output's range."""
    span = (seen.high[name] - seen.low[name]) or 1.0
    if after.dtype == object:
        pairs = zip(before, after, strict=True)
        changes = [_largest(one, other) for one, other in pairs]
        same = [other.shape == after[0].shape for other in after]
        return np.where(same, np.asarray(changes), np.inf) / span
    gaps = np.abs(np.asarray(before, np.float64) - np.asarray(after, np.float64))
    return np.asarray(gaps.reshape(len(gaps), -1).max(axis=1, initial=0.0) / span, np.float64)


def _largest(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    if one.shape != other.shape:
        return np.inf
    gap = np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64))
    return float(gap.max(initial=0.0))


def _picked(dataset: Dataset, chosen: NDArray[np.int64], names: tuple[str, ...]) -> Arrays:
    """The samples `chosen` (ascending) of the arrays `names`; constant ones whole."""
    moving = [name for name in names if name not in dataset.layout.constant]
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in names}
    start, size = 0, dataset.layout.size
    for feed in dataset.batches(size, names):
        inside = chosen[(chosen >= start) & (chosen < start + size)] - start
        for name in names:
            if len(inside) or name not in moving:
                parts[name].append(feed[name][inside] if name in moving else feed[name])
        start += size
    return {name: joined(parts[name]) if name in moving else parts[name][0] for name in names}
