"""From a project's model to a bundle: the steps in their order, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yardarm import datasets
from yardarm.artifacts import Bundle, Probe
from yardarm.compile import bundle as bundles
from yardarm.compile.compiler import Compiler
from yardarm.compile.manifest import Sources, options, tools
from yardarm.compile.searching import budget
from yardarm.compile.sources import importing
from yardarm.compile.sources.opening import Imported, is_torch, open_source
from yardarm.compile.target import for_target, jetpack, runs_tensorrt
from yardarm.digest import Digest, of_json, short
from yardarm.errors import InvalidInput, Unsupported
from yardarm.events import Note, Sink, step
from yardarm.profiles import Profile
from yardarm.project import Project
from yardarm.store import Store

RECIPE = 7  # counts changes of this code that change its results


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
    if probe:
        check_timed(profile, probe.name)
    sources = _sources(project, profile, sink)
    key = of_json(_inputs(project, profile, sources.digests, probe))
    known, latency_ms = _recorded(store, key)
    bundle = known
    if bundle is None:
        compiler = Compiler(project, profile, store, sources, sink, probe, memory_limit)
        bundle, latency_ms = compiler.bundle()
    if known:
        with step(sink, "compile", "compile") as running:
            running.cached, running.detail = True, short(known.digest)
    else:
        store.record_step(key, {"bundle": bundle.digest, "latency_ms": latency_ms})
    if probe is None and project.budget.max_latency_ms is not None:
        sink(Note("max_latency_ms is not held: no device was asked"))
    budget.check(budget.verdict_of(bundle.manifest))
    bundles.name(store, bundle, f"bundle/{project.name}/{profile.name}")
    return Compiled(bundle, known is not None, latency_ms)


def check_timed(profile: Profile, host: str) -> None:
    """Raises Unsupported where candidates for a profile can't be timed on a device."""
    if runs_tensorrt(profile):
        raise Unsupported(
            "mixes for TensorRT can't be timed on a device yet",
            where=host,
            hint="leave --on out; `yardarm bench` times what was deployed",
        )


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
