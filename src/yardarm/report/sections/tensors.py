"""What calibration saw in each tensor, and what the model takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.page import Section, Table, table, tables


def interface(manifest: Mapping[str, Any]) -> Section:
    return Section(
        "interface",
        "Inputs and outputs",
        tables=tables(
            _values("Inputs", manifest.get("inputs")), _values("Outputs", manifest.get("outputs"))
        ),
    )


def calibration(statistics: Mapping[str, Any]) -> Section:
    rows = [
        [reading.text(name), *(_figure(body, key) for key in ("low", "mean", "high"))]
        for name, body in reading.mapping(statistics.get("tensors")).items()
    ]
    headings = ("tensor", "lowest", "mean", "highest")
    caption = f"Ranges seen in calibration ({len(rows)} tensors)"
    return Section(
        "calibration",
        "Calibration",
        notes=() if rows else ("No statistics were recorded.",),
        tables=tables(table(caption, headings, rows, figures=(1, 2, 3), folded=len(rows) > 12)),
    )


def _values(caption: str, values: Any) -> Table:
    rows = [
        [
            reading.text(value.get("name")),
            reading.text(value.get("dtype")),
            _shape(value.get("shape")),
        ]
        for value in reading.mappings(values)
    ]
    return table(caption, ("tensor", "type", "shape"), rows)


def _shape(axes: Any) -> str:
    return f"[{', '.join(reading.text(axis) or 'any' for axis in reading.sequence(axes))}]"


def _figure(body: Any, key: str) -> str:
    return figures.plain(reading.number(reading.at(body, key)), 4)
