"""From a project's model to a bundle: the steps in their order, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from yardarm import datasets
from yardarm.artifacts import MEDIA_OCTETS, TITLE, Bundle
from yardarm.compile import bundle as bundles
from yardarm.compile import importing
from yardarm.compile.budget import check_budget
from yardarm.compile.calibrate import calibrate
from yardarm.compile.manifest import Made, Sources, manifest, options, tools
from yardarm.compile.normalise import normalise
from yardarm.compile.ranges import RULES
from yardarm.compile.search import search
from yardarm.compile.sources import Imported, is_torch, open_source
from yardarm.compile.statistics import statistics
from yardarm.compile.verify import verify
from yardarm.digest import Digest, of_json, short
from yardarm.errors import Unsupported
from yardarm.events import Sink, step
from yardarm.profiles import Profile
from yardarm.project import Project
from yardarm.store import Store

RECIPE = 4  # counts changes of this code that change its results
FIRST = 8  # samples on which the normalised model is held against the original


@dataclass(frozen=True)
class Compiled:
    """A bundle, and whether it was there already."""

    bundle: Bundle
    cached: bool


def compile_bundle(project: Project, profile: Profile, store: Store, sink: Sink) -> Bundle:
    """The bundle of a project for a device class; see `compiled`."""
    return compiled(project, profile, store, sink).bundle


def compiled(project: Project, profile: Profile, store: Store, sink: Sink) -> Compiled:
    """Compile, or find what was compiled from the same inputs; named `bundle/<project>/<profile>`.

    Raises:
        InvalidInput: model or data are missing, damaged or don't fit each other.
        Unsupported: the profile's target, or the model, has no way.
        BudgetNotMet: accuracy or size miss the project's budget; nothing is named then.
        VerificationFailed: the model doesn't survive a step; which one is said.
    """
    _check_target(profile)
    sources = _sources(project, profile, sink)
    key = of_json(_inputs(project, profile, sources.digests))
    found = _recorded(store, key)
    bundle = found or _compile(project, profile, store, sources, sink)
    if found:
        with step(sink, "compile", "compile") as running:
            running.cached, running.detail = True, short(found.digest)
    else:
        store.record_step(key, {"bundle": bundle.digest})
    check_budget(bundle.manifest, project.budget)
    bundles.name(store, bundle, f"bundle/{project.name}/{profile.name}")
    return Compiled(bundle, cached=found is not None)


def _check_target(profile: Profile) -> None:
    if profile.runtime.target != "onnxruntime":
        raise Unsupported(
            f"compiling for {profile.runtime.target} is not there yet",
            where=f"profile {profile.name}",
            hint="use a profile whose target is onnxruntime; see `yardarm profiles`",
        )


def _sources(project: Project, profile: Profile, sink: Sink) -> Sources:
    calibration = datasets.open_dataset(project.path(project.data.calibration), project.layout)
    evaluation = datasets.open_dataset(project.path(project.data.evaluation), project.layout)
    datasets.check_labels(evaluation, project.data.labels)
    if project.data.groups:
        datasets.check_groups(evaluation, project.data.groups)
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


def _inputs(project: Project, profile: Profile, digests: Mapping[str, Digest]) -> dict[str, Any]:
    """Everything that the bundle's bytes depend on."""
    return {
        "step": "compile",
        "recipe": RECIPE,
        "names": [project.name, profile.name, Path(project.model.source).name],
        "digests": digests,
        "options": options(project, profile),
        "opset": [profile.runtime.opset_min, profile.runtime.opset_max],
        "tools": tools(),
    }


def _recorded(store: Store, key: Digest) -> Bundle | None:
    recorded = store.step(key)
    return bundles.load(store, recorded["bundle"]) if recorded else None


def _compile(
    project: Project, profile: Profile, store: Store, sources: Sources, sink: Sink
) -> Bundle:
    with step(sink, "import", "import the model") as running:
        original = sources.model.model
        inputs = importing.inputs(original)
        datasets.check_inputs(sources.calibration, inputs)
        datasets.check_inputs(sources.evaluation, inputs)
        if sources.model.parity:
            labels = sources.evaluation.read(project.data.labels)
            sources.model.parity.check(sources.evaluation, project.metric, labels, running)
        sample = next(sources.calibration.batches(FIRST, [tensor.name for tensor in inputs]))
        low, high = profile.runtime.opset_min, profile.runtime.opset_max
        prepared = normalise(original, low, high, sample, project.layout)
        running.detail = f"{len(prepared.graph.node)} nodes, {_opsets(original, prepared)}"
    made = _make(prepared, project, profile, sources, sink)
    with step(sink, "verify", "verify the written file") as running:
        data = bundles.serialised(made.model, original)
        model = store.put(data, MEDIA_OCTETS, {TITLE: bundles.MODEL})
        written = store.path(model.digest)
        verified = verify(original, written, sources.evaluation, project, running)
        running.detail = f"{verified.before.value:.4f} before, {verified.after.value:.4f} after"
    body = manifest(
        project, profile, sources, original=original, made=made, model=model, verified=verified
    )
    rules = dict.fromkeys(made.ranges, RULES[made.rule]) if made.rule else None
    seen = statistics(made.observed, made.ranges, [tensor.name for tensor in inputs], rules)
    return bundles.put(store, model, body, seen, verified.golden)


def _opsets(original: ModelProto, prepared: ModelProto) -> str:
    had, has = importing.opset(original), importing.opset(prepared)
    return f"operator set {has}" if had == has else f"operator set {had} raised to {has}"


def _make(
    model: ModelProto, project: Project, profile: Profile, sources: Sources, sink: Sink
) -> Made:
    calibration = sources.calibration
    with step(sink, "calibrate", "calibrate") as running:
        observed = calibrate(model, calibration, running)
        running.detail = f"{len(observed)} tensors over {calibration.samples} samples"
    if "int8" not in profile.runtime.precisions:
        return Made(model, None, observed, {})
    with step(sink, "quantize", "quantize") as running:
        choice = search(model, observed, profile.quantization, dataset=calibration, step=running)
        running.detail = f"ranges by {choice.rule}"
    return Made(choice.model, choice.rule, observed, choice.ranges)
