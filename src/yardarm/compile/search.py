"""The best mix of forms within the budget, found by measuring.

Nodes start in the form that costs least. Where the written file loses too much, nodes go to more
exact forms, those first that disturb the outputs most, until the budget is met: a path of mixes
of growing cost on which the first that meets it is found by halving. Labels are looked at on that
path alone; ranges, repairs and the order of nodes come from how the outputs change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import ModelProto

from yardarm.artifacts import Estimate, Probe
from yardarm.compile import repairs, sensitivity
from yardarm.compile.budget import Verdict, judged
from yardarm.compile.costs import Costs, cheapest
from yardarm.compile.forms import Form, constants, ladder
from yardarm.compile.names import Names, shorten
from yardarm.compile.placement import activations, place
from yardarm.compile.quantize import Plan, quantize
from yardarm.compile.ranges import Range
from yardarm.compile.scoring import Scored, Scorer
from yardarm.compile.sensitivity import Effect
from yardarm.compile.session import Engine
from yardarm.compile.variants import Variant
from yardarm.datasets import Dataset
from yardarm.events import Sink, Step, step
from yardarm.project import BudgetSection

JUDGES = 64  # samples on which rules and repairs are compared


@dataclass(frozen=True)
class Subject:
    """What is searched over.

    Attributes:
        model: normalised.
        ranges: by rule, then by tensor.
        plan: no forms yet; its ranges are those of the first rule.
    """

    model: ModelProto
    ranges: Mapping[str, Mapping[str, Range]]
    plan: Plan
    costs: Costs
    calibration: Dataset
    evaluation: Dataset
    labels: str


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
