"""Shapes of dynamic inputs: optimisation profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from yardarm.compile.readiness.findings import Severity, Told, rule
from yardarm.compile.readiness.reading import Reading, Shape, Shapes

ENDS = ("min", "opt", "max")


@rule(
    "shape-profile",
    "error",
    "note",
    mark="P",
    source="seen refused by TensorRT-RTX 1.7's builder",
    says="Every dynamic input has an optimisation profile with min ≤ opt ≤ max, which agrees "
    "with the sizes that the model fixes.",
)
def shape_profile(reading: Reading) -> Iterator[Told]:
    profiles = reading.target.profiles
    for name, shape in reading.inputs().items():
        dynamic = shape is None or None in shape
        if profiles is None:
            if dynamic:
                what = f"input {name} is dynamic, so an optimisation profile is needed"
                yield Told(None, what, "compiling a project sets it", Severity.NOTE)
        elif name not in profiles:
            if dynamic:
                what = f"input {name} is dynamic and has no optimisation profile"
                yield Told(None, what, "give its min, opt and max, or export a fixed shape")
        elif what := _wrong([profiles[name].get(end, []) for end in ENDS], shape):
            yield Told(None, f"optimisation profile of {name}: {what}", "correct the profile")


@rule(
    "axis-name",
    "error",
    "warning",
    "note",
    mark="P",
    source="seen refused by TensorRT-RTX 1.7's builder",
    says="Axes of one name are equally long: their optimisation profiles agree.",
)
def axis_name(reading: Reading) -> Iterator[Told]:
    profiles = reading.target.profiles
    if reading.target.imported:
        severity, hint = Severity.NOTE, "compiling parts them where they differ"
    else:
        severity = Severity.WARNING if profiles is None else Severity.ERROR
        hint = "give axes of different lengths different names"
    for name, axes in _named(reading).items():
        words = ", ".join(f"{axis} of {held}" for held, axis in axes)
        if profiles is None:
            alike = len({held for held, _ in axes}) == len(axes)  # several inputs share a batch
        else:
            alike = len({_range(profiles, held, axis) for held, axis in axes}) == 1
        if not alike:
            what = f"{name} names axes {words}, so TensorRT takes them for equally long"
            yield Told(None, what, hint, severity)


def _named(reading: Reading) -> dict[str, list[tuple[str, int]]]:
    """For each name of axes the inputs that have it, and where."""
    found: dict[str, list[tuple[str, int]]] = {}
    fed = reading.inputs()
    for value in (value for value in reading.model.graph.input if value.name in fed):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param:
                found.setdefault(dim.dim_param, []).append((value.name, axis))
    return found


def _range(profiles: Shapes, name: str, axis: int) -> tuple[int, ...]:
    ends = profiles.get(name, {})
    return tuple(ends[end][axis] for end in ENDS if axis < len(ends.get(end, [])))


def _wrong(ends: Sequence[Sequence[int]], shape: Shape | None) -> str:
    """What is wrong with min, opt and max of an input; empty where nothing is."""
    low, usual, high = ends
    rank = len(shape) if shape is not None else len(low)
    if not len(low) == len(usual) == len(high) == rank:
        return f"min, opt and max must have {rank} axes each"
    for axis, (a, b, c) in enumerate(zip(low, usual, high, strict=True)):
        if not 0 <= a <= b <= c:
            return f"axis {axis} goes {a}, {b}, {c}, where min ≤ opt ≤ max must hold"
        fixed = shape[axis] if shape is not None else None
        if fixed is not None and (a, b, c) != (fixed, fixed, fixed):
            return f"axis {axis} goes {a}, {b}, {c}, and the model fixes it to {fixed}"
    return ""


RULES = (shape_profile, axis_name)
