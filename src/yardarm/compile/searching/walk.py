"""Candidates along a path of mixes: written, scored, and the first that meets the budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from yardarm.artifacts import Estimate, Probe
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.names import Names, shorten
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.quantization.quantize import quantize, shipped
from yardarm.compile.searching.budget import Figures, Verdict, accurate, aim, judged
from yardarm.compile.searching.scoring import Scored, Scorer
from yardarm.compile.searching.subject import Judge, Subject, ladders
from yardarm.compile.session import Engine
from yardarm.errors import VerificationFailed
from yardarm.events import Step
from yardarm.project import BudgetSection

ALIKE = 1e-3  # error of the outputs, relative to their mean square, from which on it is enough
DEARER, LARGER = 1.25, 1.05  # what more exactness than the budget asks for may cost
TRIALS = 12


@dataclass(frozen=True)
class Candidate:
    """A mix that was written and scored.

    Attributes:
        data: the file's bytes.
        cost: of the profile's cost model, or measured, as a ratio to fp32.
        error: mean squared error of the outputs on calibration samples, relative.
        scored: None where it doesn't run, or answers NaN or infinity.
        exact: as far as accuracy goes it meets the budget.
    """

    name: str
    plan: Plan
    data: bytes
    names: Names
    cost: float
    error: float
    scored: Scored | None
    verdict: Verdict
    exact: bool
    latency_ms: float | None = None

    @property
    def drop(self) -> Estimate | None:
        return self.scored.drop if self.scored else None


class Walk:
    """Candidates along a path, written and scored when they are asked for."""

    def __init__(
        self,
        subject: Subject,
        plan: Plan,
        scorer: Scorer,
        budget: BudgetSection,
        *,
        running: Step,
        probe: Probe | None,
    ) -> None:
        self._subject, self._plan, self._scorer = subject, plan, scorer
        self._budget, self._running, self._probe = budget, running, probe
        self._judge = Judge(subject)
        self._float_cost = subject.costs.of({})
        self.tried: dict[int, Candidate] = {}

    def best(self, path: list[dict[str, Form]]) -> Candidate:
        """The cheapest mix that meets the budget, or one not much dearer that answers more
        alike; where none meets it, the nearest miss."""
        first = self._first_that_meets(path)
        if first is None:
            return self._small() or min(self.tried.values(), key=self._distance)
        chosen = self._at(path, self._more_alike(path, first))
        meeting = [each for each in (chosen, self._at(path, first)) if each.verdict.meets][:1]
        if self._timed and (known := self._only_weights()) is not None:
            self.tried[-1] = known
            meeting += [known] if known.verdict.meets else []
        return min(meeting, key=lambda each: (self._time(each), each.cost))

    def _small(self) -> Candidate | None:
        """The weights alone in int8, where that makes what is exact enough small enough."""
        if any(each.exact for each in self.tried.values()) and (known := self._only_weights()):
            self.tried[-1] = known
            return known if known.verdict.meets else None
        return None

    def _first_that_meets(self, path: list[dict[str, Form]]) -> int | None:
        """By halving, as if every step made the file more exact, larger and slower: the first
        that is exact enough is the one that may meet all of it."""
        low, high = 0, len(path) - 1
        if self._at(path, low).exact:
            high = low
        while high - low > 1:
            middle = (low + high) // 2
            if self._at(path, middle).exact:
                high = middle
            else:
                low = middle
        return high if self._at(path, high).verdict.meets else None

    def _more_alike(self, path: list[dict[str, Form]], first: int) -> int:
        """A drop within the budget on some samples is no proof for others: where outputs still
        differ much, a little time is spent on exactness, and no size."""
        start = self._at(path, first)
        errors = {first: start.error}
        costs = self._subject.costs
        dearest = DEARER * start.cost * self._float_cost
        near = [at for at in range(first + 1, len(path)) if costs.of(path[at]) <= dearest]
        for at in near[:: max(1, -(-len(near) // TRIALS))]:
            if min(errors.values()) <= ALIKE:
                break
            plan = replace(self._plan, forms=path[at])
            short, _ = shorten(shipped(self._subject.model, plan))
            if short.ByteSize() <= LARGER * len(start.data):
                errors[at] = self._judge.error(plan)
        return min(errors, key=lambda at: errors[at])

    @property
    def _timed(self) -> bool:
        """A device told the candidates' times, and a real one: emulated times mean nothing."""
        return self._probe is not None and not self._probe.emulated

    def _time(self, candidate: Candidate) -> float:
        return candidate.latency_ms or 0.0 if self._timed else 0.0

    def _only_weights(self) -> Candidate | None:
        """Everything in float32 but for the weights: where int8 arithmetic does not pay. For
        TensorRT, which computes in what weights are kept in, int8 wherever that goes."""
        if self._plan.tensorrt:
            ranged = {name for rule in self._subject.ranges.values() for name in rule}
            offered = ladders(self._subject.model, ranged, self._plan.tensorrt)
            smallest = {name: forms[0] for name, forms in offered.items()}
            return self._made("int8 everywhere", smallest) if smallest else None
        forms = {
            name: Form.WEIGHTS
            for name, taken in ladders(self._subject.model, set()).items()
            if Form.WEIGHTS in taken
        }
        return self._made("int8 weights alone", forms) if forms else None

    def _at(self, path: list[dict[str, Form]], place: int) -> Candidate:
        if place not in self.tried:
            steps = "1 step" if place == 1 else f"{place} steps"
            name = "least cost" if place == 0 else f"{steps} more exact"
            name = "fp32" if all(f is Form.FP32 for f in path[place].values()) else name
            self.tried[place] = self._made(name, path[place])
        return self.tried[place]

    def _made(self, name: str, forms: Mapping[str, Form]) -> Candidate:
        plan = replace(self._plan, forms=forms)
        short, names = shorten(shipped(self._subject.model, plan))
        data: bytes = short.SerializeToString(deterministic=True)
        answering = quantize(self._subject.model, plan) if plan.tensorrt else short
        engine = Engine(answering, layout=self._subject.evaluation.dataset.layout)
        probe = self._probe
        scored: Scored | None = None
        try:
            scored = self._scorer.score(engine, self._running, aim(self._budget))
            figures = self._figures(scored, data)
            verdict, exact = judged(figures, self._budget), accurate(figures, self._budget)
        except VerificationFailed as failure:
            verdict, exact = Verdict((f"{failure.where}: {failure.what}",)), False
        return Candidate(
            name=name,
            plan=plan,
            data=data,
            names=names,
            cost=self._subject.costs.of(forms) / self._float_cost,
            error=self._judge.error(plan),
            scored=scored,
            verdict=verdict,
            exact=exact,
            latency_ms=probe.latency_ms(data) if probe else None,
        )

    def _figures(self, scored: Scored, data: bytes) -> Figures:
        probe = self._probe
        return Figures(
            self._scorer.metric.name,
            scored.comparison,
            self._scorer.by_group(scored) if scored.complete else (),
            len(data),
            probe.p99_ms(data) if probe and self._timed else None,
        )

    def _distance(self, candidate: Candidate) -> tuple[float, ...]:
        """How far from the budget: how much is missed, then by how much the metric fell too
        far, then how large the file is."""
        verdict, drop = candidate.verdict, candidate.drop
        beyond = max(0.0, drop.value - aim(self._budget)) if drop else math.inf
        return len(verdict.missed), len(verdict.undecided), beyond, len(candidate.data)
