"""Latency: percentiles that the samples support, the distribution, the course of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.report import bins, figures, reading
from yardarm.report.charts import distribution, frame, series
from yardarm.report.figures import Unit
from yardarm.report.page import Picture, Section, Table, table, tables


@dataclass(frozen=True)
class Percentile:
    """`value` in microseconds, or None with the number of samples that it needs."""

    name: str
    value: float | None
    need: float | None
    have: float | None

    def shown(self, unit: Unit) -> str:
        return figures.MISSING if self.value is None else unit(self.value)

    @property
    def lack(self) -> str:
        if self.need is None:
            return ""
        had = f", has {figures.whole(self.have)}" if self.have is not None else ""
        return f"needs {figures.whole(self.need)} samples{had}"


@dataclass(frozen=True)
class Samples:
    """Durations in microseconds and, where each has one, their starts in seconds."""

    durations: list[float]
    starts: list[float] | None


def samples(latency: Mapping[str, Any]) -> Samples:
    """The samples that are finite and not negative; starts only if every one has a start."""
    durations = reading.numbers(latency.get("samples"))
    starts = reading.numbers(latency.get("starts_s"))
    kept = [n for n, value in enumerate(durations) if value is not None and value >= 0]
    values = [value for n in kept if (value := durations[n]) is not None]
    timed = [start for n in kept if n < len(starts) and (start := starts[n]) is not None]
    return Samples(values, timed if len(timed) == len(values) else None)


def percentiles(latency: Mapping[str, Any]) -> list[Percentile]:
    """All that the result names, lowest first; one without enough samples has no value."""
    values = reading.mapping(latency.get("percentiles"))
    lacking = reading.mapping(latency.get("insufficient"))
    names = sorted({*values, *lacking}, key=lambda name: (_rank(name), name))
    return [_percentile(name, values.get(name), lacking.get(name)) for name in names]


def unit(latency: Mapping[str, Any]) -> Unit:
    """The unit that suits the median."""
    median = reading.number(reading.at(latency, "percentiles", "p50"))
    return figures.duration(median if median is not None else reading.number(latency.get("mean")))


def section(latency: Mapping[str, Any], emulated: bool) -> Section:
    found = samples(latency)
    mark = frame.EMULATED if emulated else ""
    return Section(
        "latency",
        "Latency",
        mark=mark,
        notes=_notes(latency, found, emulated),
        pictures=_pictures(latency, found, emulated),
        tables=tables(_percentile_table(latency, mark), _other_table(latency, mark)),
    )


def _notes(latency: Mapping[str, Any], found: Samples, emulated: bool) -> tuple[str, ...]:
    count = len(found.durations)
    scenario = reading.text(latency.get("scenario")) or "scenario unknown"
    noun = "sample" if count == 1 else "samples"
    notes = [f"{scenario}, {figures.whole(count)} timed {noun}." if count else "No timed samples."]
    if emulated:
        notes.append(
            "These figures were taken under emulation. They show that the measurement works,"
            " not how fast the device is."
        )
    return tuple(notes)


def _pictures(latency: Mapping[str, Any], found: Samples, emulated: bool) -> tuple[Picture, ...]:
    if not found.durations:
        return ()
    shown = unit(latency)
    marks = {p.name: p.value for p in percentiles(latency) if p.value is not None}
    drawn = distribution.draw(
        "latency-distribution", found.durations, marks, shown, emulated=emulated
    )
    course = series.draw("latency-course", found.starts, found.durations, shown, emulated=emulated)
    how = (
        "One dot a sample."
        if len(found.durations) <= bins.MOST_POINTS
        else "Band: fastest to slowest of neighbouring samples; line: their median."
    )
    return (
        Picture(drawn, "Distribution", "Lines mark the percentiles that have enough samples."),
        Picture(course, "Over the run", how),
    )


def _percentile_table(latency: Mapping[str, Any], mark: str) -> Table:
    shown = unit(latency)
    rows = [[p.name, p.shown(shown), p.lack] for p in percentiles(latency)]
    headings = ("percentile", "latency", "note")
    return table("Percentiles", headings, rows, figures=(1,), mark=mark)


_OTHERS = (
    ("mean", ("mean",), 1.0),
    ("fastest", ("min",), 1.0),
    ("slowest", ("max",), 1.0),
    ("floor of the harness", ("floor_us",), 1.0),
    ("cold: imports", ("cold", "import_ms"), 1e3),
    ("cold: loading the model", ("cold", "load_ms"), 1e3),
    ("cold: first inference", ("cold", "first_ms"), 1e3),
)


def _other_table(latency: Mapping[str, Any], mark: str) -> Table:
    rows = []
    for label, path, factor in _OTHERS:
        value = reading.number(reading.at(latency, *path))
        if value is not None:
            microseconds = value * factor
            rows.append([label, figures.duration(microseconds)(microseconds)])
    return table("Other durations", ("duration", "value"), rows, figures=(1,), mark=mark)


def _percentile(name: str, value: Any, lack: Any) -> Percentile:
    need = reading.number(reading.at(lack, "need"))
    have = reading.number(reading.at(lack, "have"))
    # What is said to be unsupported is not shown, even if a value came along.
    usable = reading.number(value) if not reading.mapping(lack) else None
    return Percentile(reading.text(name), usable, need, have)


def _rank(name: str) -> float:
    try:
        rank = float(name.lstrip("p"))
    except ValueError:
        return math.inf
    return rank if math.isfinite(rank) else math.inf
