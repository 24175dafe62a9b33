"""Whether the ONNX form of a model answers as the model did where it came from.

Held against each other over the whole evaluation set: every output, and the metric. Where
they differ, the first node that does is found, so that a wrong conversion can be reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from yardarm import metrics
from yardarm.compile.normalising import agreement, graphs
from yardarm.compile.session import Arrays, Engine, Runner, joined
from yardarm.datasets import Dataset
from yardarm.errors import VerificationFailed, YardarmError
from yardarm.events import Step
from yardarm.project import MetricSection

TOLERANCE = 1e-3
"""Share of an output's spread over the set, share of unlike integers, and what the metric may
change by: kernels sum in other orders, which on correct exports moved outputs by 1e-6."""

TINY = 1e-6  # absolute differences up to this are none

Trace = Callable[[Arrays], Iterable[tuple[str, NDArray[np.generic]]]]


@dataclass(frozen=True)
class Compared:
    """What the gate saw.

    Attributes:
        outputs: by name, the largest difference as a share of the output's spread; of
            integers, the share of unlike ones.
        before, after: the metric of the source and of its ONNX form.
    """

    outputs: Mapping[str, float]
    before: float
    after: float


@dataclass(frozen=True)
class Parity:
    """The gate for one model.

    Attributes:
        source: the model as it was, behind onnxruntime's methods.
        model: its ONNX form, as exported.
        trace: the source's inner tensors for a feed in the model's own layout, under the
            model's names where both have them; None where they can't be known.
    """

    source: Runner
    model: ModelProto
    trace: Trace | None

    def check(
        self,
        dataset: Dataset,
        section: MetricSection,
        labels: NDArray[np.generic],
        step: Step | None = None,
    ) -> Compared:
        """Compare both over a labelled set.

        Raises:
            VerificationFailed: an output or the metric differs beyond `TOLERANCE`; names the
                first node that does, in the order of the graph.
        """
        engines = (
            Engine(self.source, layout=dataset.layout),
            Engine(self.model, layout=dataset.layout),
        )
        scored = metrics.wanted(section, engines[1].outputs)
        seen = {name: _Output(scored=name in scored) for name in engines[1].outputs}
        done = 0
        for feed in dataset.batches(dataset.layout.size, engines[1].inputs):
            expected, found = (engine.run(feed) for engine in engines)
            for name, output in seen.items():
                output.add(expected[name], found[name], feed)
            done += engines[0].samples(feed)
            if step:
                step.advance(done, dataset.samples, "samples")
        self._judge_outputs(seen, engines[1])
        return _judge_metric(seen, section, labels)

    def _judge_outputs(self, seen: Mapping[str, _Output], engine: Engine) -> None:
        for name, output in seen.items():
            if output.share > TOLERANCE:
                where = self._first(output.worst, engine)
                raise VerificationFailed(
                    f"the ONNX form answers differently: output {name!r} is off by"
                    f" {output.share:.2g} of its spread, and {TOLERANCE:g} is allowed",
                    where=where or f"output {name}",
                    hint="the node is the first that differs: write that part otherwise"
                    if where
                    else "a branch on values is frozen as the example took it: use torch.where",
                )

    def _first(self, feed: Arrays, engine: Engine) -> str:
        """The first node whose output differs for a feed; empty where nobody can tell."""
        if self.trace is None:
            return ""
        own = engine.fed(feed)
        try:
            traced = dict(self.trace(own))
            found = exposed(self.model, set(traced), own)
        except YardarmError:
            return ""
        for node in self.model.graph.node:
            for name in node.output:
                if _unlike(traced.get(name), found.get(name)):
                    return f"node {node.name} ({node.op_type}), its output {name}"
        return ""


@dataclass
class _Output:
    """One output over the set: how far both are apart, and where most."""

    scored: bool
    low: float = np.inf
    high: float = -np.inf
    error: float = 0.0
    worst: Arrays = field(default_factory=dict)
    parts: tuple[list[NDArray[np.generic]], list[NDArray[np.generic]]] = field(
        default_factory=lambda: ([], [])
    )
    unlike: int = 0
    count: int = 0

    def add(self, expected: NDArray[np.generic], found: NDArray[np.generic], feed: Arrays) -> None:
        if self.scored:
            self.parts[0].append(expected)
            self.parts[1].append(found)
        for one, two in zip(_arrays(expected), _arrays(found), strict=False):
            self._add(one, two, feed)

    def _add(self, expected: NDArray[np.generic], found: NDArray[np.generic], feed: Arrays) -> None:
        self.count += expected.size
        if expected.shape != found.shape:
            error = np.inf
        elif expected.dtype.kind != "f":
            differing = int(np.count_nonzero(expected != found))
            self.unlike += differing
            error = 0.0
            if differing and not self.worst:
                self.worst = feed
        else:
            finite = np.asarray(expected[np.isfinite(expected)], np.float64)
            if finite.size:
                self.low, self.high = min(self.low, finite.min()), max(self.high, finite.max())
            error = agreement.furthest(expected, found)
        if error > self.error:
            self.error, self.worst = error, feed

    @property
    def share(self) -> float:
        if self.unlike:
            return self.unlike / self.count
        if self.error <= TINY:
            return 0.0
        spread = max(self.high - self.low, 0.0) or abs(self.high)
        return self.error / spread if np.isfinite(self.error) and spread else np.inf


def _judge_metric(
    seen: Mapping[str, _Output], section: MetricSection, labels: NDArray[np.generic]
) -> Compared:
    before, after = (
        float(
            np.mean(
                metrics.judge(
                    section,
                    {name: joined(out.parts[side]) for name, out in seen.items() if out.scored},
                    labels,
                )
            )
        )
        for side in (0, 1)
    )
    if abs(after - before) > TOLERANCE * max(1.0, abs(before)):
        raise VerificationFailed(
            f"the ONNX form scores {after:.4f}, its source {before:.4f}", where="metric"
        )
    return Compared({name: output.share for name, output in seen.items()}, before, after)


def _arrays(values: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    return list(values.reshape(-1)) if values.dtype == object else [values]


def _unlike(expected: NDArray[np.generic] | None, found: NDArray[np.generic] | None) -> bool:
    """Whether both know the tensor, and it differs."""
    if expected is None or found is None or expected.shape != found.shape:
        return False
    return bool(agreement.difference({"": expected}, {"": found.astype(expected.dtype)}, TOLERANCE))


def exposed(model: ModelProto, names: set[str], feed: Arrays) -> Arrays:
    """The model's own values for the tensors `names`, unfused."""
    made = graphs.producers(model.graph)
    shown = graphs.copied(model)
    answered = {value.name for value in model.graph.output}
    shown.graph.output.extend(
        ValueInfoProto(name=name) for name in made if name in names - answered
    )
    return Engine(shown).once(feed)
