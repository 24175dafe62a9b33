"""What the device is told when it builds its engine, where it has to build one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yardarm.report import reading
from yardarm.report.page import Section, Table, table, tables


def section(manifest: Mapping[str, Any]) -> Section:
    told = reading.mapping(manifest.get("tensorrt"))
    return Section(
        "engine",
        "TensorRT",
        notes=tuple(_notes(told)) if told else (),
        tables=tables(*_shapes(told)),
    )


def _notes(told: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"The device builds the engine with TensorRT {reading.text(told.get('version'))}; "
        "no engine was built or run for these figures."
    )
    if told.get("strongly_typed"):
        yield "The file's own types are what it computes in."
    else:
        exact = len(reading.sequence(told.get("float32")))
        flags = ", ".join(map(reading.text, reading.sequence(told.get("flags")))) or "none"
        yield f"Types by builder flags: {flags}; {exact} layers stay in float32."
    yield (
        f"At most {reading.text(told.get('workspace_mb'))} MB for the builder's trials, "
        f"optimisation level {reading.text(told.get('optimization_level'))}."
    )


def _shapes(told: Mapping[str, Any]) -> Iterator[Table]:
    bounds = ("min", "opt", "max")
    rows = [
        [reading.text(name), *(_shape(reading.at(body, bound)) for bound in bounds)]
        for name, body in reading.mapping(told.get("profiles")).items()
    ]
    if rows:
        yield table("Shapes that the engine takes", ("input", "least", "usual", "largest"), rows)


def _shape(axes: Any) -> str:
    return f"[{', '.join(reading.text(axis) for axis in reading.sequence(axes))}]"
