"""Whether a device class can take a model, said before anything is compiled or sent."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto

from yardarm import datasets, profiles, project
from yardarm.compile import readiness
from yardarm.compile.building import optimisation_profiles, part_axes
from yardarm.compile.normalising import graphs
from yardarm.compile.readiness import Readiness, Shapes
from yardarm.compile.sources import importing
from yardarm.compile.sources.opening import is_torch, open_source
from yardarm.errors import InvalidInput, UsageError
from yardarm.events import Sink, silent, step
from yardarm.profiles import Profile
from yardarm.project import Project


def check_project(
    where: Path, profile: str | None, sink: Sink = silent, *, jetpack: str | None = None
) -> Readiness:
    """Check the model of the project at `where`; torch modules are exported first.

    Args:
        jetpack: the JetPack; else the project's, else the newest on the profile's system.

    Raises:
        UsageError: no profile given.
        InvalidInput: project, profile, model or JetPack not valid.
        Unsupported: torch can't export the module.
    """
    opened = _opened(where)
    chosen = profiles.load(_named(profile), opened.root)
    wanted = jetpack or opened.tensorrt.jetpack
    with step(sink, "import", "import the model"):
        if is_torch(opened):
            model = open_source(opened, _exported_for(chosen, wanted)).model
        else:
            model = importing.load(opened.path(opened.model.source), lenient=True)
    if chosen.runtime.target != "tensorrt":
        return check_model(model, chosen, sink, jetpack=jetpack)
    shapes = _shapes(opened, model)
    if shapes:
        model = graphs.copied(model)
        part_axes(model, shapes)
    return check_model(model, chosen, sink, jetpack=wanted, shapes=shapes)


def check_file(
    file: Path, profile: str | None, sink: Sink = silent, *, jetpack: str | None = None
) -> Readiness:
    """Check an ONNX file, without any project.

    Raises:
        UsageError: no profile given.
        InvalidInput: file, profile or JetPack not valid.
    """
    chosen = profiles.load(_named(profile), Path.cwd())
    with step(sink, "import", "import the model"):
        model = importing.load(file, lenient=True)
    return check_model(model, chosen, sink, jetpack=jetpack)


def check_model(
    model: ModelProto,
    profile: Profile,
    sink: Sink = silent,
    *,
    jetpack: str | None = None,
    shapes: Shapes | None = None,
) -> Readiness:
    """What the profile's engine makes of a model as it came.

    Args:
        shapes: optimisation profiles; None where they are not known yet.
    """
    if profile.runtime.target == "onnxruntime":
        if jetpack is not None:
            profiles.release_for(profile, jetpack)  # says that there is none
        with step(sink, "check", "check the model"):
            return readiness.check_onnxruntime(model, profile)
    release = profiles.release_for(profile, jetpack)
    with step(sink, "check", "check the model"):
        found = readiness.check(model, profile, release, profiles=shapes, imported=True)
    if not found.ready or not readiness.is_asked(release):
        return found
    with step(sink, "oracle", "ask TensorRT-RTX"):
        return found.told(*readiness.oracle(model, release, profiles=shapes))


def _exported_for(profile: Profile, jetpack: str | None) -> Profile:
    """The profile with the operator sets that torch modules are exported to."""
    if profile.runtime.target != "tensorrt":
        return profile
    return profiles.for_release(profile, profiles.release_for(profile, jetpack))


def _shapes(opened: Project, model: ModelProto) -> Shapes | None:
    """The optimisation profiles that compiling would set; None where its data aren't there."""
    files = opened.data.calibration, opened.data.evaluation
    inputs = importing.inputs(model)
    try:
        sets = [datasets.open_dataset(opened.path(file), opened.layout) for file in files]
        for each in sets:
            datasets.check_inputs(each, inputs)
    except InvalidInput:
        return None
    return optimisation_profiles(opened.tensorrt, inputs, sets)


def _opened(where: Path) -> Project:
    if not where.exists() or (where.is_dir() and not (where / project.FILE).is_file()):
        raise InvalidInput(
            "there is no project file",
            where=str(where / project.FILE),
            hint="a model alone is checked by yardarm compile MODEL.onnx --check",
        )
    return project.load(where)


def _named(profile: str | None) -> str:
    if profile is None:
        raise UsageError("no device profile is given", hint="add --profile; see `yardarm profiles`")
    return profile
