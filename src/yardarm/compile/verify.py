"""The written file, loaded and scored on the evaluation set beside the model it came from.

It also yields the golden inputs, by which a device shows that it runs the same model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm import metrics
from yardarm.artifacts import Estimate
from yardarm.compile.session import Arrays, Engine, joined
from yardarm.datasets import Dataset
from yardarm.errors import InvalidInput, VerificationFailed
from yardarm.events import Step
from yardarm.project import Project

GOLDEN = 8
TOLERANCE = 0.05
"""Share of an output's observed range by which a device may differ. int8 kernels round
differently on ARM and x86: up to 1.6 % of the range was seen on correct devices."""


@dataclass(frozen=True)
class Verified:
    """What the evaluation set says about a compiled model.

    Attributes:
        output: the name of the output that was scored.
        golden: `input/<name>` and `output/<name>` [G, …], `tolerance/<name>` float64 [2]
            (absolute, relative).
    """

    output: str
    before: Estimate
    after: Estimate
    drop: Estimate
    golden: Mapping[str, NDArray[np.generic]]


@dataclass
class _Pass:
    """Answers over the whole set: the scored output in parts, and every output's range."""

    parts: list[NDArray[np.generic]] = field(default_factory=list)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)

    @property
    def scored(self) -> NDArray[np.generic]:
        return joined(self.parts)

    def add(self, answers: Arrays, output: str) -> None:
        self.parts.append(answers[output])
        for name, values in answers.items():
            if values.size:
                self.low[name] = float(np.minimum(self.low.get(name, np.inf), np.min(values)))
                self.high[name] = float(np.maximum(self.high.get(name, -np.inf), np.max(values)))


def verify(
    original: ModelProto, written: Path, dataset: Dataset, project: Project, step: Step
) -> Verified:
    """Score both models on the same samples.

    Raises:
        InvalidInput: labels or the scored output don't fit the metric.
        Unsupported: the written file doesn't load.
        VerificationFailed: the written file answers NaN or infinity.
    """
    labels = dataset.read(project.data.labels)
    layout = dataset.layout
    engine = Engine(written, layout=layout)
    output = project.metric.output or engine.outputs[0]
    if output not in engine.outputs:
        held = ", ".join(engine.outputs)
        raise InvalidInput(f"the model has no output {output!r} (it has: {held})", where="metric")
    before, after = _passes((Engine(original, layout=layout), engine), dataset, output, step)
    _finite(after)
    scores = [
        metrics.scores(project.metric.name, {output: side.scored}, labels, output)
        for side in (before, after)
    ]
    chosen = _steady(before, after, output)
    return Verified(
        output,
        metrics.estimate(scores[0]),
        metrics.estimate(scores[1]),
        metrics.paired_drop(scores[0], scores[1]),
        _golden(engine, _picked(dataset, chosen, engine.inputs), after),
    )


def _passes(
    engines: tuple[Engine, Engine], dataset: Dataset, output: str, step: Step
) -> tuple[_Pass, _Pass]:
    """Both engines side by side, so that the data are read once."""
    passes = _Pass(), _Pass()
    names = engines[0].inputs
    done = 0
    for feed in dataset.batches(dataset.layout.size, names):
        for engine, kept in zip(engines, passes, strict=True):
            kept.add(engine.run(feed), output)
        done += engines[0].samples(feed)
        step.advance(done, dataset.samples, "samples")
    return passes


def _finite(after: _Pass) -> None:
    broken = [
        name for name in after.low if not np.isfinite([after.low[name], after.high[name]]).all()
    ]
    if broken:
        raise VerificationFailed(
            "the compiled model answers NaN or infinity", where=f"outputs {', '.join(broken)}"
        )


def _steady(before: _Pass, after: _Pass, output: str) -> NDArray[np.int64]:
    """Samples for the golden inputs, spread over the set.

    Where quantization alone moved the answer by more than the tolerance, rounding matters
    much, and a correct device may differ too: those samples are poor witnesses.
    """
    span = after.high[output] - after.low[output]
    rows = [
        np.asarray(side.scored, np.float64).reshape(len(side.scored), -1)
        for side in (before, after)
    ]
    moved = np.abs(rows[0] - rows[1]).max(axis=1)
    steady = np.flatnonzero(moved <= TOLERANCE / 2 * span)
    if len(steady) < GOLDEN:
        steady = np.sort(np.argsort(moved, kind="stable")[:GOLDEN])
    places = np.linspace(0, len(steady) - 1, min(GOLDEN, len(steady)))
    return np.asarray(steady[places.round().astype(np.int64)], np.int64)


def _picked(dataset: Dataset, chosen: NDArray[np.int64], names: tuple[str, ...]) -> Arrays:
    """The samples `chosen` (ascending) of the arrays `names`; constant ones whole."""
    moving = [name for name in names if name not in dataset.layout.constant]
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in names}
    start, size = 0, dataset.layout.size
    for feed in dataset.batches(size, names):
        inside = chosen[(chosen >= start) & (chosen < start + size)] - start
        for name in names:
            parts[name].append(feed[name][inside] if name in moving else feed[name])
        start += size
    return {name: joined(parts[name]) if name in moving else parts[name][0] for name in names}


def _golden(engine: Engine, inputs: Arrays, after: _Pass) -> dict[str, NDArray[np.generic]]:
    golden: dict[str, NDArray[np.generic]] = {}
    for name, values in inputs.items():
        golden[f"input/{name}"] = values
    for name, values in engine.run(inputs).items():
        span = after.high.get(name, 0.0) - after.low.get(name, 0.0)
        allowed = TOLERANCE * span if values.dtype.kind == "f" else 0.0
        golden[f"output/{name}"] = values
        golden[f"tolerance/{name}"] = np.array([allowed, 0.0], np.float64)
    return golden
