"""What a project is compiled for, and the model brought into the shape that it takes."""

from __future__ import annotations

from onnx import ModelProto

from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.readiness import tables
from yardarm.compile.session import Feed
from yardarm.errors import YardarmError
from yardarm.profiles import Profile, Release, for_release, release_for
from yardarm.project import Project

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
    known = frozenset(tables.load(tables.version(release.tensorrt)).operators)
    if low < HALF_SCALES <= high:
        try:
            return normalise(original, HALF_SCALES, high, sample, project.layout, operators=known)
        except YardarmError:
            pass  # the widest bounds tell whether there is a way at all
    return normalise(original, low, high, sample, project.layout, operators=known)
