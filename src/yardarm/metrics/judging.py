"""One model's outputs under a metric: the score of any choice of its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from yardarm import callables
from yardarm.errors import InvalidInput
from yardarm.metrics import builtin
from yardarm.project import MetricSection

Array = NDArray[np.generic]
Outputs = Mapping[str, Array]
Scores = NDArray[np.float64]

DEAR = 200
"""Resamples where each costs a call of the project's own function, or much memory."""
CHEAP = 2000
LARGE = 2_000_000
"""Numbers in a table of parts from which on a resample is dear."""


class Judged(Protocol):
    """A metric over N samples, of which any may be chosen, also more than once."""

    @property
    def resamples(self) -> int:
        """How many choices may be afforded."""
        ...

    def of(self, chosen: NDArray[np.int64]) -> float: ...


@dataclass(frozen=True)
class Parts:
    """A metric that follows from sums over samples.

    Attributes:
        table: float64 [N, K]; for a mean of scores, [N, 1].
        fold: sums [1, K] and the number of samples to the metric [1].
    """

    table: Scores
    fold: Callable[[Scores, int], Scores]

    @property
    def resamples(self) -> int:
        return CHEAP if self.table.size <= LARGE else DEAR

    def of(self, chosen: NDArray[np.int64]) -> float:
        weights = np.bincount(chosen, minlength=len(self.table)).astype(np.float64)
        return float(self.fold((weights @ self.table)[None], len(chosen))[0])


@dataclass(frozen=True)
class Whole:
    """A callable that gives one float for all the samples that it gets."""

    section: MetricSection
    function: Callable[..., Any]
    outputs: Outputs
    labels: Array
    resamples: int = DEAR

    def of(self, chosen: NDArray[np.int64]) -> float:
        outputs = {name: values[chosen] for name, values in self.outputs.items()}
        return float(called(self.section, self.function, outputs, self.labels[chosen]))


def mean(scores: Scores) -> Parts:
    return Parts(scores[:, None], lambda sums, count: sums[:, 0] / count)


def judged(
    section: MetricSection, outputs: Outputs, labels: Array
) -> tuple[Scores | float, Judged]:
    """The metric as `judge` gives it, and over any choice of samples.

    Raises:
        InvalidInput: as `judge`.
    """
    if section.custom:
        function = callables.load(section.name, section.root, "metric.name")
        found = called(section, function, outputs, labels)
        if isinstance(found, float):
            return found, Whole(section, function, outputs, labels)
        return found, mean(found)
    values = outputs[wanted(section, tuple(outputs))[0]]
    if section.name == "f1":
        table = builtin.counts(values, labels, section.average, section.threshold)
        parts = Parts(table, lambda sums, _count: builtin.f1(sums))
        return parts.of(np.arange(len(table))), parts
    scores = _scores(section, values, labels)
    return scores, mean(scores)


def wanted(section: MetricSection, outputs: Sequence[str]) -> tuple[str, ...]:
    """The outputs that a metric reads: the one that is named, else the first; all for a
    callable.

    Args:
        outputs: the model's, in its order.

    Raises:
        InvalidInput: the model has no output of that name.
    """
    if section.output is None:
        return tuple(outputs) if section.custom else tuple(outputs[:1])
    if section.output not in outputs:
        raise InvalidInput(
            f"the model has no output {section.output!r} (it has: {', '.join(outputs)})",
            where="metric.output",
        )
    return (section.output,)


def _scores(section: MetricSection, values: Array, labels: Array) -> Scores:
    if section.name == "threshold":
        if section.threshold is None:
            raise InvalidInput("the metric threshold needs a value", where="metric.threshold")
        return builtin.threshold(values, labels, section.threshold)
    kinds = {"top1": builtin.top1, "mse": builtin.mse, "cosine": builtin.cosine}
    return kinds[section.name](values, labels)


def called(
    section: MetricSection, function: Callable[..., Any], outputs: Outputs, labels: Array
) -> Scores | float:
    """What a callable answers, checked. It can't change what it is shown."""
    shown = {name: _locked(outputs[name]) for name in wanted(section, tuple(outputs))}
    try:
        with callables.importable(section.root):
            answer = function(shown, _locked(labels))
    except (Exception, SystemExit) as error:  # noqa: BLE001  a project's code may raise anything
        raise InvalidInput(
            f"the metric {section.name} raised {callables.words(error)}", where="metric.name"
        ) from None
    return _checked(section.name, answer, len(labels))


def _locked(values: Array) -> Array:
    view = values.view()
    view.flags.writeable = False
    return view


def _checked(name: str, answer: Any, samples: int) -> Scores | float:
    try:
        values = np.asarray(answer)
        numbers = values.astype(np.float64) if values.dtype.kind in "biuf" else None
    except (ValueError, TypeError):
        numbers = None
    if numbers is None or numbers.shape not in ((), (samples,)):
        raise InvalidInput(
            f"the metric {name} returned {_shown(answer)}, expected {samples} scores, "
            "one a sample, or one float",
            where="metric.name",
        )
    if not np.isfinite(numbers).all():
        raise InvalidInput(f"the metric {name} returned NaN or infinity", where="metric.name")
    return numbers if numbers.shape else float(numbers)


def _shown(answer: Any) -> str:
    if isinstance(answer, np.ndarray):
        return f"an array {list(answer.shape)} of {answer.dtype}"
    if isinstance(answer, (list, tuple)):
        return f"a {type(answer).__name__} of {len(answer)}"
    return type(answer).__name__
