"""What each change alone does to the outputs.

Changes are tried in branches of one graph (`variants`), as many together as make a session of
a sensible size, on samples spread over a data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm import metrics
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.searching.variants import Rounded, Variant, branched, length
from yardarm.compile.searching.witnesses import error, watched, witnesses
from yardarm.compile.session import Arrays, Engine
from yardarm.datasets import Dataset
from yardarm.digest import Digest, of_bytes, of_json
from yardarm.errors import InvalidInput
from yardarm.events import Step
from yardarm.project import MetricSection
from yardarm.store import Store

MOST = 64  # samples; more change no ranking that decides anything
LEAST = 8
TOGETHER = 8  # samples at a time
NODES = 6_000  # of a graph with branches: the time to load one grows with them
WORK = 3e11  # cycles of the cost model that one ranking may take: a minute or two at the most
RECIPE = 1  # counts changes of this code that change its results
SETTLED = 0.1  # change of the errors between half of the samples and all at which it is enough


@dataclass(frozen=True)
class Data:
    """A data set and its digest."""

    dataset: Dataset
    digest: Digest


@dataclass(frozen=True)
class Effect:
    """What one change alone does.

    Attributes:
        error: mean squared error of the outputs (of logits behind probabilities), relative to
            their mean square.
        drop: loss of the metric on the same samples; None where it can't be told by batches.
    """

    error: float
    drop: float | None


@dataclass
class _Sum:
    """Errors and scores of a variant over the samples so far."""

    errors: list[float] = field(default_factory=list)
    scores: list[float] | None = field(default_factory=list)

    @property
    def error(self) -> float:
        return float(np.mean(self.errors))


@dataclass(frozen=True)
class Trials:
    """Tries changes of one normalised model, and remembers what came of them.

    Attributes:
        cycles: what one sample through the model costs, by the cost model.
        store: keeps effects by all that they depend on.
    """

    model: ModelProto
    cycles: float
    store: Store

    def effects(
        self,
        variants: Sequence[Variant | Rounded],
        plan: Plan,
        data: Data,
        step: Step,
        *,
        metric: MetricSection | None = None,
        labels: str = "",
    ) -> list[Effect]:
        """The effect of each variant, in their order.

        Args:
            metric: with the name of the labels' array, drops are told as well.
        """
        model, seen = watched(self.model), witnesses(self.model)
        inputs = [repr(variants), _told(plan), repr(data.dataset.layout), data.digest]
        scored = [metric.model_dump_json(), metrics.digest(metric), labels] if metric else []
        key = of_json(
            {
                "step": "effects",
                "recipe": RECIPE,
                "model": of_bytes(model.SerializeToString(deterministic=True)),
                "inputs": [*inputs, *scored],
                "tools": {name: version(name) for name in ("onnxruntime", "numpy")},
            }
        )
        known = self.store.step(key)
        if known is not None:
            return [Effect(error if error is not None else np.inf, drop) for error, drop in known]
        sizes = [length(model, variant) for variant in variants]
        nodes = max(1, len(model.graph.node))
        most = int(np.clip(WORK // max(1.0, self.cycles * sum(sizes) / nodes), LEAST, MOST))
        found: list[Effect] = []
        for chunk in _chunks(variants, sizes):
            found += _measured(
                model, seen, chunk, plan, data.dataset, most=most, metric=metric, labels=labels
            )
            step.advance(len(found), len(variants), "changes")
        told = [[each.error if np.isfinite(each.error) else None, each.drop] for each in found]
        self.store.record_step(key, told)
        return found


def _told(plan: Plan) -> str:
    """What of a plan changes an effect: not its forms, for each change is tried alone."""
    return repr([plan.choice, sorted(plan.ranges.items())])


def _chunks(
    variants: Sequence[Variant | Rounded], sizes: Sequence[int]
) -> Iterator[list[Variant | Rounded]]:
    chunk: list[Variant | Rounded] = []
    total = 0
    for variant, size in zip(variants, sizes, strict=True):
        if chunk and total + size > NODES:
            yield chunk
            chunk, total = [], 0
        chunk.append(variant)
        total += size
    if chunk:
        yield chunk


def _measured(
    model: ModelProto,
    seen: Sequence[str],
    variants: Sequence[Variant | Rounded],
    plan: Plan,
    dataset: Dataset,
    *,
    most: int,
    metric: MetricSection | None,
    labels: str,
) -> list[Effect]:
    branches = branched(model, variants, plan)
    engine = Engine(branches.model, layout=dataset.layout)
    finals = [value.name for value in model.graph.output]
    sums = [_Sum() for _ in variants]
    whole = _Sum()
    for feed in spread(dataset, engine, most, [labels] if metric else []):
        answers = engine.run(feed)
        truth = {name: answers[name] for name in finals}
        if metric:
            _score(whole, metric, truth, feed[labels])
        for kept, renamed in zip(sums, branches.outputs, strict=True):
            mine = truth | {name: answers[new] for name, new in renamed.items()}
            kept.errors.append(error(truth, seen, mine, seen))
            if metric:
                _score(kept, metric, mine, feed[labels])
        if _settled(sums):
            break
    return [Effect(kept.error, _drop(whole, kept, metric)) for kept in sums]


def spread(
    dataset: Dataset, engine: Engine, most: int, extra: Sequence[str] = ()
) -> Iterator[Arrays]:
    """Batches of at most `most` samples in all, from everywhere in a data set."""
    size = TOGETHER if dataset.layout.batch else 1
    apart = max(1, dataset.samples // most)
    batches = islice(dataset.batches(size, [*engine.inputs, *extra]), 0, None, apart)
    return islice(batches, max(1, most // size))


def _settled(sums: Sequence[_Sum]) -> bool:
    """Whether twice the samples told nearly the same of every change that matters."""
    count = len(sums[0].errors)
    if count < 4 or count % 2:
        return False
    finite = [kept for kept in sums if np.isfinite(kept.error)]  # the others are told already
    whole = np.array([kept.error for kept in finite])
    half = np.array([float(np.mean(kept.errors[: count // 2])) for kept in finite])
    matters = whole > 0.01 * whole.max(initial=0.0)
    return bool(np.all(np.abs(half - whole)[matters] <= SETTLED * whole[matters]))


def _score(
    kept: _Sum,
    metric: MetricSection,
    answers: Mapping[str, NDArray[np.generic]],
    labels: NDArray[np.generic],
) -> None:
    if kept.scores is None:
        return
    try:
        scores = metrics.judge(metric, answers, labels)
    except InvalidInput:  # a few samples may be too few for a metric of the whole
        kept.scores = None
        return
    if isinstance(scores, float):
        kept.scores = None
    else:
        kept.scores.extend(scores.tolist())


def _drop(whole: _Sum, kept: _Sum, metric: MetricSection | None) -> float | None:
    if metric is None or not whole.scores or not kept.scores:
        return None
    loss = float(np.mean(whole.scores) - np.mean(kept.scores))
    if not np.isfinite(loss):
        return None
    return -loss if metric.better_when_lower else loss
