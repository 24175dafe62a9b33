"""What is searched over, and how mixes of it are judged without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import ModelProto

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.quantization.forms import Form, constants, ladder, tensorrt_ladder
from yardarm.compile.quantization.placement import activations
from yardarm.compile.quantization.plan import Plan, TensorRt
from yardarm.compile.quantization.quantize import quantize
from yardarm.compile.searching import sensitivity
from yardarm.compile.searching.costs import CostModel
from yardarm.compile.searching.sensitivity import Data, Trials
from yardarm.compile.searching.witnesses import error, watched, witnesses
from yardarm.compile.session import Engine

JUDGES = 256  # samples on which rules and repairs are compared


@dataclass(frozen=True)
class Subject:
    """What is searched over.

    Attributes:
        model: normalised.
        ranges: by rule, then by tensor.
        plan: no forms yet; its ranges are those of the first rule.
        int8: the profile knows it; else no node takes it.
    """

    model: ModelProto
    ranges: Mapping[str, Mapping[str, Range]]
    plan: Plan
    costs: CostModel
    trials: Trials
    calibration: Data
    evaluation: Data
    labels: str
    int8: bool


def ladders(
    model: ModelProto, ranged: set[str], tensorrt: TensorRt | None = None
) -> dict[str, tuple[Form, ...]]:
    """The nodes that have a choice, with their forms, fastest first."""
    known = constants(model)
    found = {}
    for node in model.graph.node:
        forms = (
            tensorrt_ladder(node, known, tensorrt.fit, tensorrt.below(node.name))
            if tensorrt
            else ladder(node, known)
        )
        touched = activations(node, known)
        if not ranged.issuperset(touched if tensorrt else {*touched, node.output[0]}):
            forms = tuple(form for form in forms if form not in (Form.STATIC, Form.FP8))
        if len(forms) > 1:
            found[node.name] = forms
    return found


class Judge:
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
