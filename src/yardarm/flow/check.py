"""Whether a device class can take a model, said before anything is compiled or sent."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto

from yardarm import profiles, project
from yardarm.compile import readiness
from yardarm.compile.readiness import Readiness
from yardarm.compile.sources import importing
from yardarm.compile.sources.opening import is_torch, open_source
from yardarm.errors import UsageError
from yardarm.events import Sink, silent, step
from yardarm.profiles import Profile


def check_project(
    where: Path, profile: str | None, sink: Sink = silent, *, jetpack: str | None = None
) -> Readiness:
    """Check the model of the project at `where`; torch modules are exported first.

    Raises:
        UsageError: no profile given.
        InvalidInput: project, profile, model or JetPack not valid.
        Unsupported: torch can't export the module.
    """
    opened = project.load(where)
    chosen = profiles.load(_named(profile), opened.root)
    with step(sink, "import", "import the model"):
        if is_torch(opened):
            model = open_source(opened, chosen).model
        else:
            model = importing.load(opened.path(opened.model.source), lenient=True)
    return check_model(model, chosen, sink, jetpack=jetpack)


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
    model: ModelProto, profile: Profile, sink: Sink = silent, *, jetpack: str | None = None
) -> Readiness:
    """What the profile's engine makes of a model as it came."""
    if profile.runtime.target == "onnxruntime":
        if jetpack is not None:
            profiles.release_for(profile, jetpack)  # says that there is none
        with step(sink, "check", "check the model"):
            return readiness.check_onnxruntime(model, profile)
    release = profiles.release_for(profile, jetpack)
    with step(sink, "check", "check the model"):
        found = readiness.check(model, profile, release, imported=True)
    if not found.ready or not readiness.is_asked(release):
        return found
    with step(sink, "oracle", "ask TensorRT-RTX"):
        return found.told(*readiness.oracle(model, release))


def _named(profile: str | None) -> str:
    if profile is None:
        raise UsageError("no device profile is given", hint="add --profile; see `yardarm profiles`")
    return profile
