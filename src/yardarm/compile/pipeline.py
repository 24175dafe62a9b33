"""From a project's model to a bundle: the steps in their order, and what is kept of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto

from yardarm import datasets
from yardarm.artifacts import MEDIA_OCTETS, TITLE, Bundle, Descriptor, Probe
from yardarm.compile import bundle as bundles
from yardarm.compile import readiness
from yardarm.compile.building import building, optimisation_profiles, part_axes
from yardarm.compile.calibration.observe import observe
from yardarm.compile.calibration.observed import Observed
from yardarm.compile.calibration.ranges import RULES, SYMMETRIC, Range, Rule
from yardarm.compile.calibration.statistics import statistics
from yardarm.compile.manifest import Sources, manifest, options, tools
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.halves import fit
from yardarm.compile.quantization.plan import Plan, TensorRt
from yardarm.compile.quantization.quantize import quantize, represented
from yardarm.compile.searching import budget
from yardarm.compile.searching.costs import Costs, rates
from yardarm.compile.searching.gpu_costs import gpu_costs
from yardarm.compile.searching.scoring import Scorer
from yardarm.compile.searching.search import Found, search
from yardarm.compile.searching.sensitivity import Data, Trials
from yardarm.compile.searching.subject import Subject
from yardarm.compile.session import Engine
from yardarm.compile.sources import importing, operators
from yardarm.compile.sources.opening import Imported, is_torch, open_source
from yardarm.compile.target import HALF_SCALES, for_target, jetpack, normalised, runs_tensorrt
from yardarm.compile.verify import check_alike, golden
from yardarm.digest import Digest, of_json, short
from yardarm.errors import InvalidInput, Unsupported
from yardarm.events import Note, Sink, Step, step
from yardarm.profiles import Profile
from yardarm.project import Project
from yardarm.store import Store

RECIPE = 5  # counts changes of this code that change its results
FIRST = 8  # samples on which the normalised model is held against the original


@dataclass(frozen=True)
class Compiled:
    """A bundle, and whether it was there already.

    Attributes:
        latency_ms: medians of candidates by name, where a device was asked. Not the bundle's:
            times differ whenever they are taken. An emulated device's mean nothing.
    """

    bundle: Bundle
    cached: bool
    latency_ms: Mapping[str, float] = field(default_factory=dict)


def compile_bundle(project: Project, profile: Profile, store: Store, sink: Sink) -> Bundle:
    """The bundle of a project for a device class; see `compiled`."""
    return compiled(project, profile, store, sink).bundle


def compiled(
    project: Project,
    profile: Profile,
    store: Store,
    sink: Sink,
    *,
    probe: Probe | None = None,
    memory_limit: int | None = None,
) -> Compiled:
    """Compile, or find what was compiled from the same inputs; named `bundle/<project>/<profile>`.

    Args:
        probe: a device on which candidates are timed.
        memory_limit: bytes of activations that calibration may hold at a time.

    Raises:
        InvalidInput: model or data are missing, damaged or don't fit each other.
        Unsupported: the profile's target, or the model, has no way.
        BudgetNotMet: no candidate keeps the project's budget; nothing is named then.
        Undecided: the evaluation set is too small for the budget.
        VerificationFailed: the model doesn't survive a step; which one is said.
    """
    profile = for_target(project, profile)
    if probe and runs_tensorrt(profile):
        raise Unsupported(
            "mixes for TensorRT can't be timed on a device yet",
            where=probe.name,
            hint="leave --on out; `yardarm bench` times what was deployed",
        )
    sources = _sources(project, profile, sink)
    key = of_json(_inputs(project, profile, sources.digests, probe))
    known, latency_ms = _recorded(store, key)
    bundle = known
    if bundle is None:
        compiler = _Compiler(project, profile, store, sources, sink, probe, memory_limit)
        bundle, latency_ms = compiler.bundle()
    if known:
        with step(sink, "compile", "compile") as running:
            running.cached, running.detail = True, short(known.digest)
    else:
        store.record_step(key, {"bundle": bundle.digest, "latency_ms": latency_ms})
    budget.check(budget.verdict_of(bundle.manifest))
    bundles.name(store, bundle, f"bundle/{project.name}/{profile.name}")
    return Compiled(bundle, known is not None, latency_ms)


def _sources(project: Project, profile: Profile, sink: Sink) -> Sources:
    calibration = datasets.open_dataset(project.path(project.data.calibration), project.layout)
    evaluation = datasets.open_dataset(project.path(project.data.evaluation), project.layout)
    datasets.check_labels(evaluation, project.data.labels)
    if project.data.groups:
        datasets.check_groups(evaluation, project.data.groups)
    elif project.budget.max_group_drop is not None:
        raise InvalidInput(
            "max_group_drop bounds the loss of groups, and there are none",
            where="yardarm.toml: budget.max_group_drop",
            hint="name their array as `groups` under [data]",
        )
    if project.data.clusters:
        datasets.check_groups(evaluation, project.data.clusters, "clusters")
    budget.check_decidable(project.metric, evaluation.samples, project.budget)
    model = _model(project, profile, sink)  # last: torch takes its time
    digests = {
        "source": model.digest,
        "calibration": calibration.digest(),
        "evaluation": evaluation.digest(),
    }
    return Sources(model, calibration, evaluation, digests)


def _model(project: Project, profile: Profile, sink: Sink) -> Imported:
    if not is_torch(project):
        return open_source(project, profile)
    with step(sink, "export", "export from torch") as running:
        model = open_source(project, profile)
        running.detail = f"operator set {importing.opset(model.model)}"
        for note in model.notes:
            running.note(note, "warning")
    return model


def _inputs(
    project: Project, profile: Profile, digests: Mapping[str, Digest], probe: Probe | None
) -> dict[str, Any]:
    """Everything that the bundle's bytes depend on."""
    return {
        "step": "compile",
        "recipe": RECIPE,
        "names": [project.name, profile.name, Path(project.model.source).name],
        "digests": digests,
        "options": options(project, profile),
        "cpu": profile.cpu.model_dump(mode="json"),
        "opset": [profile.runtime.opset_min, profile.runtime.opset_max],
        "tensorrt": _tensorrt_inputs(project, profile),
        "tools": tools(),
        "timed on": probe.name if probe else None,
    }


def _tensorrt_inputs(project: Project, profile: Profile) -> dict[str, Any] | None:
    if not runs_tensorrt(profile) or profile.gpu is None:
        return None
    return {
        "version": jetpack(project, profile).tensorrt,
        "settings": project.tensorrt.model_dump(mode="json"),
        "building": profile.building.model_dump(mode="json"),
        "gpu": profile.gpu.model_dump(mode="json"),
        "precisions": profile.runtime.precisions,
        "bandwidth": profile.memory.bandwidth_gbs,
    }


def _recorded(store: Store, key: Digest) -> tuple[Bundle | None, dict[str, float]]:
    recorded = store.step(key)
    if not recorded:
        return None, {}
    return bundles.load(store, recorded["bundle"]), recorded.get("latency_ms", {})


@dataclass(frozen=True)
class _Compiler:
    """One compilation: the steps in their order."""

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
        if runs_tensorrt(self.profile):
            readiness.require(self._readiness(original, imported=True))
        prepared = self._prepared(original)
        scorer = self._scorer(original)
        observed = self._observed(prepared)
        subject = self._subject(prepared, observed)
        found = search(subject, scorer, self.project.budget, self.sink, probe=self.probe)
        with step(self.sink, "verify", "verify the written file") as running:
            file = onnx.load_from_string(found.chosen.data)
            shapes = self._shapes(original) if found.chosen.plan.tensorrt else {}
            part_axes(file, shapes)
            if found.chosen.plan.tensorrt:
                self._ask(file, shapes, running)
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

    def _ask(self, file: ModelProto, shapes: readiness.Shapes, running: Step) -> None:
        """Raises Unsupported with all that TensorRT would refuse in the written file."""
        release = jetpack(self.project, self.profile)
        found = self._readiness(file, shapes)
        if found.ready and readiness.is_asked(release):
            found = found.told(*readiness.oracle(file, release, profiles=shapes))
        readiness.require(found)
        for each in found.findings:
            if each.severity is readiness.Severity.WARNING:
                running.note(f"{each}", "warning")

    def _readiness(
        self, model: ModelProto, shapes: readiness.Shapes | None = None, *, imported: bool = False
    ) -> readiness.Readiness:
        release = jetpack(self.project, self.profile)
        return readiness.check(model, self.profile, release, profiles=shapes, imported=imported)

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
            prepared = normalised(original, self.project, self.profile, sample)
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
        if runs_tensorrt(self.profile):
            plan = replace(plan, tensorrt=self._tensorrt(prepared, observed))
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

    def _tensorrt(self, prepared: ModelProto, observed: Mapping[str, Observed]) -> TensorRt:
        major, minor = jetpack(self.project, self.profile).tensorrt.split(".")[:2]
        opset = importing.opset(prepared)
        half = "fp16" in self.profile.runtime.precisions
        extremes = {name: (seen.low, seen.high) for name, seen in observed.items() if half}
        version = int(major), int(minor)
        low = _low(self.profile.runtime.precisions, version, opset)
        return TensorRt(version, fit(prepared, extremes, opset), opset, low)


def _low(precisions: Collection[str], version: tuple[int, int], opset: int) -> tuple[Form, ...]:
    """What a device has below float16; float8 wants types in the graph."""
    typed = version >= (10, 0) and opset >= HALF_SCALES
    offered = {Form.FP8: "fp8" in precisions and typed, Form.STATIC: "int8" in precisions}
    return tuple(form for form, has in offered.items() if has)


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
