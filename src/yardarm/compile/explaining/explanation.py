"""What became of a model: where the result departs from it, and what int8 costs and gives.

Read from the written file of a bundle; nothing of it goes into the bundle, for times never
repeat.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import ModelProto

from yardarm import datasets
from yardarm.artifacts import EMULATED, Bundle, Probe
from yardarm.compile import bundle as bundles
from yardarm.compile.explaining.attribution import named
from yardarm.compile.explaining.difference import Difference, difference
from yardarm.compile.explaining.kernels import Kernel, latencies, profiled
from yardarm.compile.explaining.profiling import Profile, Side, profile
from yardarm.compile.explaining.verdict import verdict
from yardarm.compile.sources import importing
from yardarm.compile.sources.opening import open_source
from yardarm.compile.target import for_target, normalised, runs_tensorrt
from yardarm.datasets import Dataset
from yardarm.events import Sink, step
from yardarm.profiles import Profile as DeviceProfile
from yardarm.project import Project
from yardarm.store import Store


@dataclass(frozen=True)
class Operators:
    """The written model's times against the original's.

    Attributes:
        where: whose times these are, in a few words.
        fp32_us, written_us: microseconds of one inference, unprofiled.
        verdict: why int8 helped or didn't.
    """

    where: str
    emulated: bool
    fp32_us: float
    written_us: float
    profile: Profile
    verdict: str

    def to_json(self) -> dict[str, Any]:
        return {
            "where": self.where,
            "emulated": self.emulated,
            "fp32_us": self.fp32_us,
            "written_us": self.written_us,
            "verdict": self.verdict,
            **self.profile.to_json(),
        }


@dataclass(frozen=True)
class Explanation:
    """Both views of one bundle.

    Attributes:
        operators: None for TensorRT: it is not here, and what onnxruntime takes tells nothing.
    """

    difference: Difference
    operators: Operators | None

    def to_json(self) -> dict[str, Any]:
        told = {"difference": self.difference.to_json()}
        return told | ({"operators": self.operators.to_json()} if self.operators else {})


def explain(
    project: Project,
    target: DeviceProfile,
    store: Store,
    bundle: Bundle,
    sink: Sink,
    *,
    probe: Probe | None = None,
) -> Explanation:
    """Compare a bundle's model with the project's.

    Args:
        probe: the device whose times are taken; default: this machine, on one thread.

    Raises:
        InvalidInput, Unsupported, VerificationFailed: as compiling does; and what the probe
            raises.
    """
    target = for_target(project, target)
    dataset = datasets.open_dataset(project.path(project.data.evaluation), project.layout)
    original = named(_normalised(project, target, dataset))
    names = bundle.manifest.get("names", {})
    written = named(onnx.load(store.path(bundle.blobs[bundles.MODEL].digest)), names.get("nodes"))
    with step(sink, "difference", "compare layer by layer") as running:
        found = difference(original, written, dataset, running, names=names)
        running.detail = f"{len(found.nodes)} tensors over {found.samples} samples"
    if runs_tensorrt(target):
        return Explanation(found, None)
    with step(sink, "operators", "time the operators") as running:
        models = original, written
        times = _asked(models, probe) if probe else _timed(models, dataset)
        operators = _laid(models, times, names, probe)
        running.detail = operators.where
    return Explanation(found, operators)


def _normalised(project: Project, target: DeviceProfile, dataset: Dataset) -> ModelProto:
    """The original as the compiler works on it: the nodes that it decides on."""
    original = open_source(project, target).model
    names = [tensor.name for tensor in importing.inputs(original)]
    return normalised(original, project, target, next(dataset.batches(8, names)))


Timed = tuple[float, tuple[Kernel, ...]]  # microseconds of one inference, and its kernels


def _timed(models: tuple[ModelProto, ...], dataset: Dataset) -> list[Timed]:
    """One sample at a time on this machine; the models take turns."""
    feed = next(dataset.batches(1))
    whole = latencies(models, feed, dataset.layout)
    inside = [profiled(model, feed, dataset.layout) for model in models]
    return list(zip(whole, inside, strict=True))


def _asked(models: tuple[ModelProto, ...], probe: Probe) -> list[Timed]:
    return [_asked_once(model.SerializeToString(deterministic=True), probe) for model in models]


def _asked_once(model: bytes, probe: Probe) -> Timed:
    rows = probe.operators(model)  # first: it times the whole on the way
    return 1e3 * probe.latency_ms(model), tuple(map(Kernel.of, rows))


def _laid(
    models: tuple[ModelProto, ModelProto],
    times: list[Timed],
    names: Mapping[str, Any],
    probe: Probe | None,
) -> Operators:
    (fp32_us, before), (written_us, after) = times
    laid = profile(Side(models[0], before), Side(models[1], after), names)
    return Operators(
        where=_where(probe),
        emulated=probe.emulated if probe else False,
        fp32_us=fp32_us,
        written_us=written_us,
        profile=laid,
        verdict=verdict(laid, fp32_us, written_us),
    )


def _where(probe: Probe | None) -> str:
    if probe is None:
        return f"times of this {platform.machine()} machine, not the device's"
    return f"times of {probe.name}" + (f", {EMULATED}" if probe.emulated else "")
