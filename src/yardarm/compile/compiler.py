"""The steps from a model to a bundle, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import onnx
from onnx import ModelProto

from yardarm import datasets
from yardarm.artifacts import MEDIA_OCTETS, TITLE, Bundle, Descriptor, Probe
from yardarm.compile import bundle as bundles
from yardarm.compile import target
from yardarm.compile.building import building, optimisation_profiles, part_axes
from yardarm.compile.calibration.observe import observe
from yardarm.compile.calibration.observed import Observed
from yardarm.compile.calibration.ranges import RULES, SYMMETRIC, Range, Rule
from yardarm.compile.calibration.statistics import statistics
from yardarm.compile.manifest import Sources, manifest
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.quantization.quantize import quantize, represented
from yardarm.compile.searching.costs import Costs, rates
from yardarm.compile.searching.gpu_costs import gpu_costs
from yardarm.compile.searching.scoring import Scorer
from yardarm.compile.searching.search import Found, search
from yardarm.compile.searching.sensitivity import Data, Trials
from yardarm.compile.searching.subject import Subject
from yardarm.compile.session import Engine
from yardarm.compile.sources import importing, operators
from yardarm.compile.verify import check_alike, golden
from yardarm.events import Note, Sink, Step, step
from yardarm.profiles import Profile
from yardarm.project import Project
from yardarm.store import Store

FIRST = 8  # samples on which the normalised model is held against the original


@dataclass(frozen=True)
class Compiler:
    """One compilation: the steps in their order.

    Attributes:
        profile: with the JetPack that is compiled for.
        probe, memory_limit: as `pipeline.compiled` takes them.
    """

    project: Project
    profile: Profile
    store: Store
    sources: Sources
    sink: Sink
    probe: Probe | None
    memory_limit: int | None

    def bundle(self) -> tuple[Bundle, dict[str, float]]:
        """The bundle, and candidates' times where a device was asked."""
        original = self.sources.model.model
        if target.runs_tensorrt(self.profile):
            target.require(original, self.project, self.profile)
        prepared = self._prepared(original)
        typed = target.runs_tensorrt(self.profile)
        shapes = self._shapes(original) if typed else {}  # wrong ones are told before the search
        scorer = self._scorer(original)
        observed = self._observed(prepared)
        subject = self._subject(prepared, observed)
        found = search(subject, scorer, self.project.budget, self.sink, probe=self.probe)
        with step(self.sink, "verify", "verify the written file") as running:
            file = onnx.load_from_string(found.chosen.data)
            part_axes(file, shapes)
            if found.chosen.plan.tensorrt:
                target.ask(file, self.project, self.profile, shapes, running)
            data = bundles.serialised(file, original)
            model = self.store.put(data, MEDIA_OCTETS, {TITLE: bundles.MODEL})
            written = self._answering(model, prepared, found, running)
            scored = scorer.score(written, running)
            witnesses = golden(written, self.sources.evaluation, scorer.truth(), scored.answers)
            compared = scored.comparison
            running.detail = f"{compared.before.value:.4f} before, {compared.after.value:.4f} after"
        body = manifest(
            self.project,
            self.profile,
            self.sources,
            original=original,
            prepared=prepared,
            model=model,
            scorer=scorer,
            found=found,
            scored=scored,
            tensorrt=self._building(found, prepared, shapes),
        )
        inputs = [tensor.name for tensor in importing.inputs(original)]
        ranges = represented(prepared, found.chosen.plan)
        seen = statistics(observed, ranges, inputs, _rules(subject, ranges, self.profile))
        if seen["audit"]["enough"] is False:
            self.sink(Note(f"calibration: {seen['audit']['verdict']}"))
        times = {each.name: each.latency_ms for each in found.candidates}
        known = {name: latency for name, latency in times.items() if latency is not None}
        return bundles.put(self.store, model, body, seen, witnesses), known

    def _answering(
        self, model: Descriptor, prepared: ModelProto, found: Found, running: Step
    ) -> Engine:
        """What answers as the device will: the written file itself, where onnxruntime is there
        too. One for TensorRT is loaded, and has to be near to what is scored in its place."""
        layout = self.project.layout
        file = self.store.path(model.digest)
        if not found.chosen.plan.tensorrt:
            return Engine(file, layout=layout)
        rounded = quantize(prepared, found.chosen.plan)
        answering = Engine(rounded, layout=layout)
        sample = next(self.sources.evaluation.batches(FIRST, answering.inputs))
        if reason := check_alike(rounded, onnx.load(file), sample, layout):
            running.note(f"the written file runs on the device alone: {reason}", "warning")
        return answering

    def _shapes(self, original: ModelProto) -> dict[str, dict[str, list[int]]]:
        sets = self.sources.calibration, self.sources.evaluation
        return optimisation_profiles(self.project.tensorrt, importing.inputs(original), sets)

    def _building(
        self, found: Found, prepared: ModelProto, shapes: Mapping[str, Mapping[str, list[int]]]
    ) -> dict[str, Any] | None:
        chosen = found.chosen
        if not chosen.plan.tensorrt:
            return None
        return building(self.project, self.profile, prepared, chosen, shapes)

    def _prepared(self, original: ModelProto) -> ModelProto:
        calibration, evaluation = self.sources.calibration, self.sources.evaluation
        with step(self.sink, "import", "import the model") as running:
            inputs = importing.inputs(original)
            datasets.check_inputs(calibration, inputs)
            datasets.check_inputs(evaluation, inputs)
            if self.sources.model.parity:
                labels = evaluation.read(self.project.data.labels)
                parity = self.sources.model.parity
                parity.check(evaluation, self.project.metric, labels, running)
            sample = next(calibration.batches(FIRST, [tensor.name for tensor in inputs]))
            prepared = target.normalised(original, self.project, self.profile, sample)
            running.detail = f"{len(prepared.graph.node)} nodes, {_opsets(original, prepared)}"
            if bodies := operators.control_flow(prepared):
                running.note(f"left in fp32, with all that is in them: {', '.join(bodies)}")
        return prepared

    def _scorer(self, original: ModelProto) -> Scorer:
        evaluation = self.sources.evaluation
        with step(self.sink, "score", "score the original") as running:
            engine = Engine(original, layout=self.project.layout)
            scorer = Scorer(engine, evaluation, self.project, running)
            running.detail = f"{evaluation.samples} samples"
        return scorer

    def _observed(self, prepared: ModelProto) -> dict[str, Observed]:
        calibration = self.sources.calibration
        with step(self.sink, "calibrate", "calibrate") as running:
            observed = observe(
                prepared,
                calibration,
                self.sources.digests["calibration"],
                self.store,
                running,
                memory_limit=self.memory_limit,
            )
            running.detail = f"{len(observed)} tensors over {calibration.samples} samples"
        return observed

    def _subject(self, prepared: ModelProto, observed: Mapping[str, Observed]) -> Subject:
        """What is searched over; without int8 in the profile no tensor has a range."""
        choice = self.profile.quantization
        int8 = "int8" in self.profile.runtime.precisions
        finite = {name: seen for name, seen in observed.items() if seen.finite and int8}
        ranges: dict[str, dict[str, Range]] = {
            rule: {name: of(seen) for name, seen in finite.items()}
            for rule, of in _offered(self.profile).items()
        }
        first = ranges["least-error"]
        samples = self.sources.calibration.samples
        work = Costs(
            prepared,
            {name: seen.count / samples for name, seen in observed.items()},
            first,
            rates(self.profile.cpu),
            choice.symmetric_activations,
        )
        digests = self.sources.digests
        plan = Plan(choice, {}, first)
        if target.runs_tensorrt(self.profile):
            typed = target.typed(self.project, self.profile, prepared, observed)
            plan = replace(plan, tensorrt=typed)
        return Subject(
            model=prepared,
            ranges=ranges,
            plan=plan,
            costs=gpu_costs(work, plan, self.profile) if plan.tensorrt else work,
            trials=Trials(prepared, work.of({}), self.store),
            calibration=Data(self.sources.calibration, digests["calibration"]),
            evaluation=Data(self.sources.evaluation, digests["evaluation"]),
            labels=self.project.data.labels,
            int8=int8,
        )


def _opsets(original: ModelProto, prepared: ModelProto) -> str:
    had, has = importing.opset(original), importing.opset(prepared)
    return f"operator set {has}" if had == has else f"operator set {had} brought to {has}"


def _offered(profile: Profile) -> Mapping[str, Rule]:
    return SYMMETRIC if profile.quantization.symmetric_activations else RULES


def _rules(subject: Subject, ranges: Mapping[str, Range], profile: Profile) -> dict[str, Rule]:
    """The rule that gave each range."""
    offered = _offered(profile)
    return {
        name: offered[rule]
        for name, chosen in ranges.items()
        for rule in reversed(list(offered))
        if subject.ranges[rule].get(name) == chosen
    }
