"""Records summarised: each value's first, last, least, mean and greatest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yardarm.telemetry.archive import Record


@dataclass(frozen=True)
class Summary:
    """A value over a number of records, in the unit that its name ends with."""

    name: str
    records: int
    last: float
    low: float
    mean: float
    high: float


def summarise(records: Sequence[Record]) -> list[Summary]:
    """One summary for each value name, in order of names."""
    series: dict[str, list[float]] = {}
    for record in records:
        for name, value in record["values"].items():
            series.setdefault(name, []).append(float(value))
    return [
        Summary(name, len(values), values[-1], min(values), sum(values) / len(values), max(values))
        for name, values in sorted(series.items())
    ]
