"""Written files on the evaluation set, beside the model they came from.

The original runs once; what it answered is kept, and every candidate is held against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from yardarm import metrics
from yardarm.artifacts import Estimate
from yardarm.compile.session import Arrays, Engine, joined
from yardarm.datasets import Dataset
from yardarm.errors import InvalidInput, VerificationFailed
from yardarm.events import Step
from yardarm.metrics import Comparison, GroupScore
from yardarm.project import Project

FIRST = 256  # samples after which a hopeless candidate is first given up


@dataclass
class Answers:
    """What a model answered: the scored outputs in parts, and every output's extremes."""

    parts: dict[str, list[NDArray[np.generic]]] = field(default_factory=dict)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)

    def add(self, answers: Arrays, scored: frozenset[str]) -> None:
        for name, values in answers.items():
            if name in scored:
                self.parts.setdefault(name, []).append(values)
            for part in values if values.dtype == object else [values]:
                if part.size:
                    self.low[name] = float(np.minimum(self.low.get(name, np.inf), np.min(part)))
                    self.high[name] = float(np.maximum(self.high.get(name, -np.inf), np.max(part)))

    @property
    def scored(self) -> dict[str, NDArray[np.generic]]:
        return {name: joined(parts) for name, parts in self.parts.items()}

    @property
    def broken(self) -> list[str]:
        """Outputs in which NaN or infinity was seen."""
        return [
            name for name in self.low if not np.isfinite([self.low[name], self.high[name]]).all()
        ]


@dataclass(frozen=True)
class Scored:
    """A candidate's figures.

    Attributes:
        complete: all of the set was run; else it was given up as hopeless.
    """

    comparison: Comparison
    answers: Answers
    complete: bool

    @property
    def drop(self) -> Estimate:
        return self.comparison.drop


class Scorer:
    """Scores candidates of one original.

    Raises:
        InvalidInput: labels, groups or outputs don't fit the metric.
        VerificationFailed: the original answers NaN or infinity.
        Unsupported: onnxruntime can't load the original.
    """

    def __init__(self, original: Engine, dataset: Dataset, project: Project, step: Step) -> None:
        self._dataset, self._project = dataset, project
        self.metric = project.metric
        wanted = metrics.wanted(self.metric, original.outputs)
        self._names = frozenset(wanted)
        self.output = project.metric.output or original.outputs[0]
        self.labels = dataset.read(project.data.labels)
        groups, clusters = project.data.groups, project.data.clusters
        self.groups = dataset.read(groups) if groups else None
        self._clusters = dataset.read(clusters) if clusters else None
        self.before = Answers()
        done = 0
        for feed, answers in original.over(dataset, dataset.layout.size):
            self.before.add(answers, self._names)
            done += original.samples(feed)
            step.advance(done, dataset.samples, "samples")
        _check_finite(self.before, "the original model")
        self._truth = self.before.scored
        metrics.judge(self.metric, self._truth, self.labels)  # misfits are told at once

    @property
    def samples(self) -> int:
        return self._dataset.samples

    def score(self, engine: Engine, step: Step, hopeless: float | None = None) -> Scored:
        """Run a candidate over the set.

        Args:
            hopeless: give up as soon as the drop is above this with confidence, even if nothing
                were lost on the samples to come: sets are often sorted.

        Raises:
            VerificationFailed: NaN or infinity is answered.
        """
        answers, done, check = Answers(), 0, FIRST
        for feed, found in engine.over(self._dataset, self._dataset.layout.size):
            answers.add(found, self._names)
            _check_finite(answers, "the compiled model")
            done += engine.samples(feed)
            step.advance(done, self.samples, "samples")
            if hopeless is not None and check <= done < self.samples:
                check *= 2
                so_far = self._so_far(answers, done)
                if so_far and so_far.drop.low * done > hopeless * self.samples:
                    return Scored(so_far, answers, complete=False)
        return Scored(self._compare(answers, done), answers, complete=True)

    def by_group(self, scored: Scored) -> tuple[GroupScore, ...]:
        if self.groups is None:
            return ()
        return metrics.by_group(
            self.metric, self._truth, scored.answers.scored, self.labels, self.groups
        )

    def truth(self) -> Mapping[str, NDArray[np.generic]]:
        """The original's scored outputs."""
        return self._truth

    def _so_far(self, answers: Answers, samples: int) -> Comparison | None:
        """None where so few can't be compared: all of one class, or of one cluster."""
        try:
            return self._compare(answers, samples)
        except InvalidInput:
            return None

    def _compare(self, answers: Answers, samples: int) -> Comparison:
        before = {name: values[:samples] for name, values in self._truth.items()}
        clusters = self._clusters[:samples] if self._clusters is not None else None
        return metrics.compare(self.metric, before, answers.scored, self.labels[:samples], clusters)


def _check_finite(answers: Answers, whose: str) -> None:
    if answers.broken:
        names = ", ".join(answers.broken)
        raise VerificationFailed(f"{whose} answers NaN or infinity", where=f"outputs {names}")
