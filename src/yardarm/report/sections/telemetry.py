"""Telemetry over the run: one small picture for each family of readings that exists."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import frame, small
from yardarm.report.figures import Unit
from yardarm.report.page import Picture, Section, Table, table, tables

MOST_PANELS = 16
MOST_LINES = 8

_UNITS = {
    "percent": Unit("%"),
    "mb": Unit("MB"),
    "c": Unit("°C"),
    "mhz": Unit("MHz"),
    "us": figures.MILLISECONDS,
    "ms": Unit("ms"),
    "w": Unit("W"),
}
_DURATIONS = ("ms",)
_SHARED = ("cpu", "memory", "disk")
"""What a virtual device shares with its host."""

_ORDER = ("cpu", "memory", "disk", "temperature", "clock", "bench", "runtime")
_PERCENTILE = re.compile(r"(runtime|bench)\.latency_p[0-9.]+_us")
_IN_TABLE_ONLY = {"disk.free_inodes"}
_JOINED = {"temperature", "clock"}
"""Rooms whose readings differ only in the place: they share a picture."""


def section(telemetry: Mapping[str, Any], emulated: bool) -> Section:
    """All readings; with `emulated`, durations and what is the host's are marked as such."""
    records = [r for r in reading.mappings(telemetry.get("records")) if _time(r) is not None]
    records.sort(key=lambda record: _time(record) or 0.0)
    panels = _panels(records)
    drawn = {f: n for f, n in panels.items() if f not in _IN_TABLE_ONLY and _tells(n, records)}
    idle = [n for names in panels.values() for n in names if not _tells([n], records)]
    listed = {
        family: rest
        for family, names in panels.items()
        if (rest := [name for name in names if name not in idle])
    }
    notes = _notes(records, len(listed), min(len(drawn), MOST_PANELS), idle)
    pictures = tuple(
        _picture(n, family, names, records, emulated)
        for n, (family, names) in enumerate(list(drawn.items())[:MOST_PANELS])
    )
    shown = tables(_readings(listed, records, emulated), _troubles(records))
    return Section("telemetry", "Telemetry", "", notes, pictures, shown, small=True)


def _tells(names: list[str], records: list[Mapping[str, Any]]) -> bool:
    """Not of readings that are zero throughout: one sentence names those."""
    return any(reading.number(reading.at(r, "values", name)) for r in records for name in names)


def _notes(
    records: list[Mapping[str, Any]], panels: int, drawn: int, idle: list[str]
) -> tuple[str, ...]:
    if not records:
        return ("No telemetry was recorded.",)
    length = _seconds(records)[-1]
    notes = [f"{len(records)} records over {length:.0f} seconds."]
    if panels > drawn:
        notes.append(f"{panels - drawn} further readings are in the table only.")
    if idle:
        names = ", ".join(_split(name)[0] for name in sorted(idle, key=_place))
        notes.append(f"Zero throughout: {names}.")
    return tuple(notes)


def _panels(records: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Family to the readings in it that have at least one number, in a fixed order."""
    names = {
        name
        for record in records
        for name, value in reading.mapping(record.get("values")).items()
        if reading.number(value) is not None
    }
    panels: dict[str, list[str]] = {}
    for name in sorted(names, key=_place):
        panels.setdefault(_family(name), []).append(name)
    return panels


def _picture(
    order: int, family: str, names: list[str], records: list[Mapping[str, Any]], emulated: bool
) -> Picture:
    seconds = _seconds(records)
    lines = [
        small.Line(
            name,
            [
                (at, reading.number(reading.at(record, "values", name)))
                for at, record in zip(seconds, records, strict=True)
            ],
        )
        for name in names[:MOST_LINES]
    ]
    unit = _unit(family)
    title = _title(family, emulated)
    key = f"telemetry-{order}"
    drawing = small.draw(key, title, lines, unit, max(seconds[-1], 1.0))
    legend = tuple(_place_name(name) for name in names[:MOST_LINES]) if names[1:] else ()
    note = f"{len(names) - MOST_LINES} more are not drawn." if len(names) > MOST_LINES else ""
    return Picture(drawing, title, note, legend)


def _readings(
    panels: Mapping[str, list[str]], records: list[Mapping[str, Any]], emulated: bool
) -> Table:
    """The same as figures: what Markdown has, and what a screen reader can read."""
    rows = []
    for family, names in panels.items():
        for name in names:
            found = [reading.number(reading.at(record, "values", name)) for record in records]
            values = [value for value in found if value is not None]
            shown = [min(values), max(values), values[-1]]
            title = _title(family, emulated)
            label = f"{title}: {_place_name(name)}" if names[1:] else title
            rows.append([label, *_shown(_unit(family), shown, values)])
    headings = ("reading", "lowest", "highest", "last")
    return table("Readings", headings, rows, figures=(1, 2, 3))


def _shown(unit: Unit, shown: list[float], values: list[float]) -> list[str]:
    """Counts as the integers that they are."""
    if not unit.name and all(value.is_integer() for value in values):
        return [figures.whole(value) for value in shown]
    return [figures.plain(value * unit.factor, 4) for value in shown]


def _troubles(records: list[Mapping[str, Any]]) -> Table:
    """Collectors that failed: how often, and what they said last."""
    failed: dict[str, tuple[int, str]] = {}
    for record in records:
        for name, state in reading.mapping(record.get("collectors")).items():
            if reading.at(state, "ok") is False:
                count = failed.get(name, (0, ""))[0] + 1
                failed[name] = (count, reading.text(reading.at(state, "error")))
    rows = [[reading.text(name), str(n), error] for name, (n, error) in sorted(failed.items())]
    headings = ("collector", "failures", "last error")
    return table("Collectors that failed", headings, rows, figures=(1,))


def _time(record: Mapping[str, Any]) -> float | None:
    return reading.number(record.get("t"))


def _seconds(records: list[Mapping[str, Any]]) -> list[float]:
    times = [_time(record) or 0.0 for record in records]
    return [time - times[0] for time in times]


def _family(name: str) -> str:
    if _PERCENTILE.fullmatch(name):
        return name.split("_", 1)[0] + "_us"
    room = name.split(".", 1)[0]
    return f"{room}.*_{name.rsplit('_', 1)[-1]}" if room in _JOINED else name


def _place(name: str) -> tuple[float, str]:
    room = name.split(".", 1)[0]
    return (_ORDER.index(room) if room in _ORDER else math.inf), name


def _split(family: str) -> tuple[str, Unit]:
    """The words of a reading's name, and its unit: `disk.free_mb` is "disk free" in MB."""
    words = reading.text(family).replace(".*", "").replace(".", " ").replace("_", " ").split()
    if len(words) > 1 and words[-1] in _UNITS:
        return " ".join(words[:-1]), _UNITS[words[-1]]
    return " ".join(words) or "reading", Unit("")


def _title(family: str, emulated: bool) -> str:
    name, unit = _split(family)
    title = f"{name}, {unit.name}" if unit.name else name
    if emulated and unit.name in _DURATIONS:
        return f"{title} ({frame.EMULATED})"
    shared = family.split(".", 1)[0] in _SHARED
    return f"{title} ({frame.HOSTS})" if emulated and shared else title


def _unit(family: str) -> Unit:
    return _split(family)[1]


def _place_name(name: str) -> str:
    """Zone, core or percentile: what tells apart the readings of one picture."""
    return reading.text(name).split(".", 1)[-1].rsplit("_", 1)[0].removeprefix("latency_")
