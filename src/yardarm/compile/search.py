"""The best mix of forms within the budget, found by measuring.

Nodes start in the form that costs least. Where the written file loses too much, nodes go to more
exact forms, those first that disturb the outputs most, until the budget is met: a path of mixes
of growing cost on which the first that meets it is found by halving. Labels are looked at on that
path alone; ranges, repairs and the order of nodes come from how the outputs change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from onnx import ModelProto

from yardarm.artifacts import Estimate, Probe
from yardarm.compile import repairs, sensitivity
from yardarm.compile.budget import Figures, Verdict, aim, judged
from yardarm.compile.costs import Costs, cheapest
from yardarm.compile.forms import Form, constants, ladder
from yardarm.compile.names import Names, shorten
from yardarm.compile.placement import activations
from yardarm.compile.quantize import Plan, placed, quantize
from yardarm.compile.ranges import Range
from yardarm.compile.scoring import Scored, Scorer
from yardarm.compile.sensitivity import Data, Effect, Trials
from yardarm.compile.session import Engine
from yardarm.compile.variants import Variant
from yardarm.compile.witnesses import error, watched, witnesses
from yardarm.events import Sink, Step, step
from yardarm.project import BudgetSection

JUDGES = 256  # samples on which rules and repairs are compared


@dataclass(frozen=True)
class Subject:
    """What is searched over.

    Attributes:
        model: normalised.
        ranges: by rule, then by tensor.
        plan: no forms yet; its ranges are those of the first rule.
        int8: the profile knows it; else everything stays in fp32.
    """

    model: ModelProto
    ranges: Mapping[str, Mapping[str, Range]]
    plan: Plan
    costs: Costs
    trials: Trials
    calibration: Data
    evaluation: Data
    labels: str
    int8: bool


@dataclass(frozen=True)
class Candidate:
    """A mix that was written and scored.

    Attributes:
        data: the file's bytes.
        cost: of the profile's cost model, or measured, as a ratio to fp32.
        error: mean squared error of the outputs on calibration samples, relative.
    """

    name: str
    plan: Plan
    data: bytes
    names: Names
    cost: float
    error: float
    scored: Scored
    verdict: Verdict
    latency_ms: float | None = None

    @property
    def drop(self) -> Estimate:
        return self.scored.drop


@dataclass(frozen=True)
class Found:
    """What the search saw.

    Attributes:
        effects: every change of one node, worst first.
        rule: which rule gave most ranges; None where nothing is quantized.
    """

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    effects: tuple[tuple[Variant, Effect], ...]
    rule: str | None
    repairs: tuple[str, ...]


def ladders(model: ModelProto, ranged: set[str]) -> dict[str, tuple[Form, ...]]:
    """The nodes that have a choice, with their forms, fastest first."""
    known = constants(model)
    found = {}
    for node in model.graph.node:
        forms = ladder(node, known)
        if not ranged.issuperset({*activations(node, known), node.output[0]}):
            forms = tuple(form for form in forms if form is not Form.STATIC)
        if len(forms) > 1:
            found[node.name] = forms
    return found


def search(
    subject: Subject,
    scorer: Scorer,
    budget: BudgetSection,
    sink: Sink,
    *,
    probe: Probe | None = None,
) -> Found:
    """Find the cheapest mix that meets the budget; where none does, the nearest miss is chosen.

    Args:
        probe: a device that tells candidates' latency; without it the cost model ranks.

    Raises:
        Unsupported: onnxruntime can't load what was written.
    """
    ranged = {name for rule in subject.ranges.values() for name in rule}
    choices = ladders(subject.model, ranged) if subject.int8 else {}
    with step(sink, "quantize", "quantize") as running:
        plan, rule, mended = _prepared(subject, choices, running)
        running.detail = f"ranges by {rule}" + "".join(f", {each}" for each in mended)
    with step(sink, "sensitivity", "sensitivity") as running:
        effects = _effects(subject, choices, plan, scorer, running)
        running.detail = f"{len(effects)} changes of {len(choices)} nodes"
    with step(sink, "search", "search the mix") as running:
        walk = _Walk(subject, plan, scorer, budget, running=running, probe=probe)
        path = _path(plan.forms, choices, effects)
        chosen = walk.first_that_meets(path)
        running.detail = f"{len(walk.tried)} mixes scored, {_told(chosen)}"
    return Found(chosen, tuple(walk.tried.values()), effects, rule, mended)


def _prepared(
    subject: Subject,
    choices: Mapping[str, tuple[Form, ...]],
    running: Step,
) -> tuple[Plan, str | None, tuple[str, ...]]:
    """The cheapest forms with the ranges and repairs that answer most alike."""
    plan = replace(subject.plan, forms=cheapest(subject.costs, choices))
    if not choices:
        return plan, None, ()
    judge = _Judge(subject)
    plans = {rule: replace(plan, ranges=ranges) for rule, ranges in subject.ranges.items()}
    errors = {rule: judge.error(trial) for rule, trial in plans.items()}
    rule = min(errors, key=lambda each: errors[each])
    best, least = plans[rule], errors[rule]
    mended: list[str] = []
    for name, repair in (("ranges by tensor", _by_tensor), ("bias correction", _corrected)):
        trial = repair(subject, best, running)
        found = judge.error(trial)
        if found < least * repairs.BETTER:
            best, least = trial, found
            mended.append(name)
    return best, rule, tuple(mended)


def _by_tensor(subject: Subject, plan: Plan, running: Step) -> Plan:
    tensors = sorted(set(placed(subject.model, plan).pairs.values()))
    found = repairs.ranges_by_tensor(
        subject.trials,
        plan,
        subject.ranges,
        tensors,
        data=subject.calibration,
        step=running,
    )
    return replace(plan, ranges=found)


def _corrected(subject: Subject, plan: Plan, running: Step) -> Plan:
    return replace(
        plan, shifts=repairs.bias_shifts(subject.model, plan, subject.calibration.dataset)
    )


def _effects(
    subject: Subject,
    choices: Mapping[str, tuple[Form, ...]],
    plan: Plan,
    scorer: Scorer,
    running: Step,
) -> tuple[tuple[Variant, Effect], ...]:
    variants = [Variant(node, form) for node, forms in choices.items() for form in forms[:-1]]
    found = subject.trials.effects(
        variants,
        plan,
        subject.evaluation,
        running,
        metric=scorer.metric,
        labels=subject.labels,
    )
    pairs = zip(variants, found, strict=True)
    return tuple(sorted(pairs, key=lambda pair: (-pair[1].error, pair[0].node, pair[0].form)))


def _path(
    forms: Mapping[str, Form],
    choices: Mapping[str, tuple[Form, ...]],
    effects: tuple[tuple[Variant, Effect], ...],
) -> list[dict[str, Form]]:
    """Mixes from the cheapest to fp32: each has one node more exact than the one before it,
    the one that gains most."""
    errors = {(variant.node, variant.form): effect.error for variant, effect in effects}
    state = dict(forms)
    path = [dict(state)]

    def gain(node: str) -> tuple[float, str]:
        after = _more_exact(node, choices[node], state[node], errors)
        now, then = (errors.get((node, form), 0.0) for form in (state[node], after))
        return now - then, node

    while rough := [node for node, form in state.items() if form is not Form.FP32]:
        node = max(rough, key=gain)
        state[node] = _more_exact(node, choices[node], state[node], errors)
        path.append(dict(state))
    return path


def _more_exact(
    node: str, forms: tuple[Form, ...], now: Form, errors: Mapping[tuple[str, Form], float]
) -> Form:
    """The next form that errs at most half as much."""
    most = errors.get((node, now), 0.0) / 2
    later = forms[forms.index(now) + 1 :]
    return next((form for form in later if errors.get((node, form), 0.0) <= most), Form.FP32)


class _Judge:
    """Errors of written files on calibration samples; no labels are needed."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._names = witnesses(subject.model)
        self._reference = Engine(watched(subject.model), layout=subject.calibration.dataset.layout)

    def error(self, plan: Plan) -> float:
        written = quantize(self._subject.model, plan)
        names = witnesses(written)
        engine = Engine(watched(written), layout=self._subject.calibration.dataset.layout)
        errors = [
            error(self._reference.run(feed), self._names, engine.run(feed), names)
            for feed in sensitivity.spread(self._subject.calibration.dataset, engine, JUDGES)
        ]
        return sum(errors) / len(errors)


class _Walk:
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
        self._judge = _Judge(subject)
        self._float_cost = subject.costs.of({})
        self.tried: dict[int, Candidate] = {}

    def first_that_meets(self, path: list[dict[str, Form]]) -> Candidate:
        """The cheapest mix that meets the budget, as if every step made the file more exact;
        else the nearest miss."""
        low, high = 0, len(path) - 1
        if self._at(path, low).verdict.meets:
            return self._quickest(path)
        self._at(path, high)
        while high - low > 1:
            middle = (low + high) // 2
            if self._at(path, middle).verdict.meets:
                high = middle
            else:
                low = middle
        return self._quickest(path)

    def _quickest(self, path: list[dict[str, Form]]) -> Candidate:
        meeting = [each for each in self.tried.values() if each.verdict.meets]
        if not meeting:
            return min(self.tried.values(), key=_distance)
        if self._probe is not None and (known := self._only_weights()) is not None:
            self.tried[-1] = known
            meeting += [known] if known.verdict.meets else []
        return min(meeting, key=lambda each: (self._time(each), each.cost, len(each.data)))

    def _time(self, candidate: Candidate) -> float:
        """As the device measured it, unless it is emulated: then its times mean nothing."""
        asked = self._probe is not None and not self._probe.emulated
        return candidate.latency_ms or 0.0 if asked else 0.0

    def _only_weights(self) -> Candidate | None:
        """Everything in float32 but for the weights: where int8 arithmetic does not pay."""
        forms = {
            name: Form.WEIGHTS
            for name, offered in ladders(self._subject.model, set()).items()
            if Form.WEIGHTS in offered
        }
        return self._made("int8 weights alone", forms) if forms else None

    def _at(self, path: list[dict[str, Form]], place: int) -> Candidate:
        if place not in self.tried:
            steps = "1 step" if place == 1 else f"{place} steps"
            name = "fastest" if place == 0 else f"{steps} more exact"
            name = "fp32" if all(f is Form.FP32 for f in path[place].values()) else name
            self.tried[place] = self._made(name, path[place])
        return self.tried[place]

    def _made(self, name: str, forms: Mapping[str, Form]) -> Candidate:
        plan = replace(self._plan, forms=forms)
        short, names = shorten(quantize(self._subject.model, plan))
        data: bytes = short.SerializeToString(deterministic=True)
        engine = Engine(short, layout=self._subject.evaluation.dataset.layout)
        scored = self._scorer.score(engine, self._running, aim(self._budget))
        probe = self._probe
        figures = Figures(
            self._scorer.metric.name,
            scored.comparison,
            self._scorer.by_group(scored) if scored.complete else (),
            len(data),
            probe.p99_ms(data) if probe and not probe.emulated else None,
        )
        return Candidate(
            name=name,
            plan=plan,
            data=data,
            names=names,
            cost=self._subject.costs.of(forms) / self._float_cost,
            error=self._judge.error(plan),
            scored=scored,
            verdict=_verdict(scored, figures, self._budget),
            latency_ms=probe.latency_ms(data) if probe else None,
        )


def _verdict(scored: Scored, figures: Figures, budget: BudgetSection) -> Verdict:
    if scored.answers.broken:
        return Verdict((f"outputs {', '.join(scored.answers.broken)} are NaN or infinite",))
    return judged(figures, budget)


def _distance(candidate: Candidate) -> tuple[int, int, float]:
    """How far from the budget: how much is missed, then by how much the metric fell."""
    verdict = candidate.verdict
    return len(verdict.missed), len(verdict.undecided), candidate.drop.value


def _told(chosen: Candidate) -> str:
    return f"{chosen.name}, drop {chosen.drop.value:.4f}"
