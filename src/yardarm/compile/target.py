"""What a project is compiled for, and what that takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from onnx import ModelProto

from yardarm.compile import readiness
from yardarm.compile.calibration.observed import Observed
from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.halves import fit
from yardarm.compile.quantization.plan import TensorRt
from yardarm.compile.readiness import tables
from yardarm.compile.session import Feed
from yardarm.compile.sources import importing
from yardarm.errors import YardarmError
from yardarm.events import Step
from yardarm.profiles import Profile, Release, for_release, release_for
from yardarm.project import Project

CHANNEL_SCALES = 13  # since which operator set weights may have a scale for each channel
HALF_SCALES = 19  # since which operator set int8 may be dequantized into float16


def runs_tensorrt(profile: Profile) -> bool:
    return profile.runtime.target == "tensorrt"


def for_target(project: Project, profile: Profile) -> Profile:
    """The profile as it is with the JetPack that is compiled for.

    Raises:
        InvalidInput: the device has no such JetPack.
    """
    return for_release(profile, jetpack(project, profile)) if runs_tensorrt(profile) else profile


def jetpack(project: Project, profile: Profile) -> Release:
    """The JetPack that is compiled for. Raises InvalidInput where the device has none."""
    return release_for(profile, project.tensorrt.jetpack)


def normalised(
    original: ModelProto, project: Project, profile: Profile, sample: Feed
) -> ModelProto:
    """The model as the compiler works on it.

    For TensorRT in an operator set where int8 can be dequantized into float16, if there is a
    way into one, and without operators that its parser lacks, as far as they can be spelled out.

    Args:
        profile: with the JetPack's operator sets, as `for_target` gives it.

    Raises:
        Unsupported, VerificationFailed: as `normalise`.
    """
    low, high = profile.runtime.opset_min, profile.runtime.opset_max
    if not runs_tensorrt(profile):
        return normalise(original, low, high, sample, project.layout)
    release = jetpack(project, profile)
    low = max(low, CHANNEL_SCALES)
    known = frozenset(tables.load(tables.version(release.tensorrt)).operators)
    if low < HALF_SCALES <= high:
        try:
            return normalise(original, HALF_SCALES, high, sample, project.layout, operators=known)
        except YardarmError:
            pass  # the widest bounds tell whether there is a way at all
    return normalise(original, low, high, sample, project.layout, operators=known)


def require(original: ModelProto, project: Project, profile: Profile) -> None:
    """Raises Unsupported with all that TensorRT would refuse in a model as it came, and that
    compiling doesn't mend."""
    release = jetpack(project, profile)
    readiness.require(readiness.check(original, profile, release, imported=True))


def ask(
    file: ModelProto, project: Project, profile: Profile, shapes: readiness.Shapes, step: Step
) -> None:
    """Raises Unsupported with all that TensorRT would refuse in a written file; warnings become
    notes of the step. TensorRT-RTX is asked, too, where it is installed."""
    release = jetpack(project, profile)
    found = readiness.check(file, profile, release, profiles=shapes)
    if found.ready and readiness.is_asked(release):
        found = found.told(*readiness.oracle(file, release, profiles=shapes))
    readiness.require(found)
    for each in found.findings:
        if each.severity is readiness.Severity.WARNING:
            step.note(str(each), "warning")


def typed(
    project: Project, profile: Profile, prepared: ModelProto, observed: Mapping[str, Observed]
) -> TensorRt:
    """What TensorRT may compute in below float32: by version, types and ranges over the data."""
    version = tables.version(jetpack(project, profile).tensorrt)
    opset, precisions = importing.opset(prepared), profile.runtime.precisions
    half = "fp16" in precisions
    extremes = {name: (seen.low, seen.high) for name, seen in observed.items() if half}
    low = _low(precisions, version, opset)
    return TensorRt(version, fit(prepared, extremes, opset), opset, low)


def _low(precisions: Collection[str], version: tuple[int, int], opset: int) -> tuple[Form, ...]:
    """What a device has below float16; float8 wants types in the graph."""
    typed = version >= (10, 0) and opset >= HALF_SCALES
    offered = {Form.FP8: "fp8" in precisions and typed, Form.STATIC: "int8" in precisions}
    return tuple(form for form, has in offered.items() if has)
