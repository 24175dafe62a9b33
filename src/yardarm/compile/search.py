"""Which rule for the ranges suits a model: the one whose int8 form answers most alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.compile.calibrate import Observed, floats
from yardarm.compile.quantize import quantize
from yardarm.compile.ranges import RULES, Range
from yardarm.compile.session import Arrays, Engine
from yardarm.datasets import Dataset
from yardarm.events import Step
from yardarm.profiles import Quantization

JUDGES = 128  # calibration samples that candidates are compared on
TOGETHER = 8  # of them at a time: all candidates' activations are in memory together


@dataclass(frozen=True)
class Choice:
    """An int8 model and how it came about.

    Attributes:
        rule: name of the rule in `ranges.RULES`.
        errors: mean squared error of the outputs on calibration samples, relative to the
            outputs' mean square, by rule.
    """

    model: ModelProto
    rule: str
    ranges: Mapping[str, Range]
    errors: Mapping[str, float]


def search(
    model: ModelProto,
    observed: Mapping[str, Observed],
    wanted: Quantization,
    *,
    dataset: Dataset,
    step: Step,
) -> Choice:
    """Write the model by every rule and take the best. The labels are not looked at.

    Raises:
        Unsupported: as `quantize`, or onnxruntime can't load what was written.
    """
    known = {name: observed[name] for name in floats(model) if name in observed}
    ranges = {rule: _ranges(known, rule) for rule in RULES}
    candidates = {rule: quantize(model, ranges[rule], wanted) for rule in RULES}
    errors = _errors(model, candidates, dataset, step)
    best = min(errors, key=lambda rule: errors[rule])
    return Choice(candidates[best], best, ranges[best], errors)


def _ranges(observed: Mapping[str, Observed], rule: str) -> dict[str, Range]:
    return {name: RULES[rule](seen) for name, seen in observed.items() if seen.finite}


def _errors(
    model: ModelProto,
    candidates: Mapping[str, ModelProto],
    dataset: Dataset,
    step: Step,
) -> dict[str, float]:
    """All candidates run side by side, so that no outputs have to be kept."""
    layout = dataset.layout
    reference = Engine(model, layout=layout)
    engines = {rule: Engine(candidate, layout=layout) for rule, candidate in candidates.items()}
    totals = dict.fromkeys(engines, 0.0)
    apart = max(1, dataset.samples // JUDGES)
    judged = 0
    for feed in islice(dataset.batches(TOGETHER, reference.inputs), 0, None, apart):
        expected, samples = reference.run(feed), reference.samples(feed)
        for rule, engine in engines.items():
            totals[rule] += _error(expected, engine.run(feed)) * samples
        judged += samples
        step.advance(judged, -(-dataset.samples // apart), "samples")
    return {rule: total / judged for rule, total in totals.items()}


def _error(expected: Arrays, found: Arrays) -> float:
    pairs = [(expected[name], found[name]) for name in expected if expected[name].dtype.kind == "f"]
    return sum(_relative(want, have) for want, have in pairs)


def _relative(want: NDArray[np.generic], have: NDArray[np.generic]) -> float:
    truth = np.asarray(want, np.float64)
    if truth.shape != have.shape or not truth.size:
        return np.inf
    error = float(np.mean((truth - np.asarray(have, np.float64)) ** 2))
    return error / (float(np.mean(truth**2)) + 1e-12) if np.isfinite(error) else np.inf
