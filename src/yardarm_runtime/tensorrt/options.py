"""How an engine is to be built, as the bundle's manifest says it."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Mapping, NamedTuple, Sequence, Tuple

from yardarm_runtime.problems import Problem
from yardarm_wire import engines

FLAGS = frozenset(["fp16", "int8"])
LEVELS = range(6)


class Profile(NamedTuple):
    """Shapes between which an input of any length may be."""

    least: Tuple[int, ...]
    best: Tuple[int, ...]
    most: Tuple[int, ...]


class Options(NamedTuple):
    """The manifest's `tensorrt`.

    Attributes:
        version: the TensorRT that the bundle was compiled for, "10.3".
        strongly_typed: the file's own types are what runs. Else `flags` ("fp16", "int8") allow
            those types, and the layers named in `float32` keep theirs.
        profiles: by name, of every input with an axis of any length.
        workspace_mb: most memory that a layer may borrow, in MiB.
        optimization_level: 0 to 5.
        digest: of all this.
    """

    version: str = ""
    strongly_typed: bool = True
    flags: FrozenSet[str] = frozenset()
    float32: FrozenSet[str] = frozenset()
    profiles: Mapping[str, Profile] = {}
    workspace_mb: int = 1024
    optimization_level: int = 3
    digest: str = ""


def of(manifest: Mapping[str, Any]) -> Options:
    """Raises Problem naming what is wrong in the manifest's `tensorrt`."""
    body = manifest.get("tensorrt")
    if not isinstance(body, dict):
        raise Problem("the manifest says nothing of TensorRT: compile the bundle again")
    try:
        options = _read(body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Problem("the manifest's tensorrt can't be read: %r" % error) from None
    unknown = options.flags - FLAGS
    if unknown:
        raise Problem("the manifest's tensorrt asks for flags %s" % sorted(unknown))
    if options.workspace_mb < 1 or options.optimization_level not in LEVELS:
        raise Problem("the manifest's tensorrt has a workspace or an optimization level of none")
    return options


def _read(body: Dict[str, Any]) -> Options:
    return Options(
        str(body["version"]),
        _flag(body["strongly_typed"]),
        frozenset(_texts(body.get("flags", ()))),
        frozenset(_texts(body.get("float32", ()))),
        {name: _profile(name, shapes) for name, shapes in body.get("profiles", {}).items()},
        int(body.get("workspace_mb", 1024)),
        int(body.get("optimization_level", 3)),
        engines.of_bytes(engines.canonical(body)),
    )


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("strongly_typed is true or false")
    return value


def _texts(values: Sequence[Any]) -> Sequence[str]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("names are strings")
    return values


def _profile(name: str, shapes: Mapping[str, Sequence[int]]) -> Profile:
    least, best, most = (tuple(int(axis) for axis in shapes[key]) for key in ("min", "opt", "max"))
    ordered = all(0 < low <= middle <= high for low, middle, high in zip(least, best, most))
    if not ordered or not len(least) == len(best) == len(most):
        raise Problem(
            "the profile of %r is not min <= opt <= max: %s, %s, %s"
            % (name, list(least), list(best), list(most))
        )
    return Profile(least, best, most)
