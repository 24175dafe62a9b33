"""The best mix of forms within the budget, found by measuring.

Nodes start in the form that costs least. Where the written file loses too much, nodes go to more
exact forms, those first that disturb the outputs most, until the budget is met: a path of mixes
of growing cost on which the first that meets it is found by halving. Where its outputs still
differ much, a few steps more are taken. Labels are looked at on that path alone; ranges, repairs
and the order of nodes come from how the outputs change.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sized
from dataclasses import dataclass, replace

from yardarm.artifacts import Probe
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.quantization.quantize import placed
from yardarm.compile.searching import repairs
from yardarm.compile.searching.costs import cheapest
from yardarm.compile.searching.scoring import Scorer
from yardarm.compile.searching.sensitivity import Effect
from yardarm.compile.searching.subject import Judge, Subject, ladders
from yardarm.compile.searching.variants import Variant
from yardarm.compile.searching.walk import Candidate, Walk
from yardarm.events import Sink, Step, step
from yardarm.project import BudgetSection


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
    tensorrt = subject.plan.tensorrt
    choices = (
        ladders(subject.model, ranged, tensorrt) if subject.int8 or tensorrt is not None else {}
    )
    with step(sink, "quantize", "quantize") as running:
        plan, rule, mended = _prepared(subject, choices, running)
        running.detail = f"ranges by {rule}" + "".join(f", {each}" for each in mended)
    with step(sink, "sensitivity", "sensitivity") as running:
        effects = _effects(subject, choices, plan, scorer, running)
        running.detail = f"{_count(effects, 'change')} of {_count(choices, 'node')}"
    with step(sink, "search", "search the mix") as running:
        walk = Walk(subject, plan, scorer, budget, running=running, probe=probe)
        path = _path(plan.forms, choices, effects)
        chosen = walk.best(path)
        running.detail = f"{_mixes(walk.tried)} scored, {_told(chosen)}"
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
    judge = Judge(subject)
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
    """The next form that errs at most half as much, and not without bounds."""
    most = min(errors.get((node, now), 0.0) / 2, sys.float_info.max)
    later = forms[forms.index(now) + 1 :]
    return next((form for form in later if errors.get((node, form), 0.0) <= most), Form.FP32)


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _mixes(tried: Sized) -> str:
    return "1 mix" if len(tried) == 1 else f"{len(tried)} mixes"


def _told(chosen: Candidate) -> str:
    return chosen.name + (f", drop {chosen.drop.value:.4f}" if chosen.drop else "")
