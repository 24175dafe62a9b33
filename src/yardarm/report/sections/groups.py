"""Accuracy by group: who loses, and whether groups lie further apart than before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import pairs
from yardarm.report.figures import Unit
from yardarm.report.page import Picture, Section, Table, table, tables

SHOWN = 20


@dataclass(frozen=True)
class Group:
    name: str
    samples: float | None
    before: pairs.Pair
    drop: tuple[float | None, float | None, float | None]


def section(accuracy: Mapping[str, Any]) -> Section:
    metric = reading.text(accuracy.get("metric")) or "accuracy"
    groups = _groups(accuracy)
    if not groups:
        return Section("groups", "Groups")
    unit, _ = figures.score(metric)
    drawing = pairs.draw("groups-pairs", metric, [g.before for g in groups[:SHOWN]], unit)
    title = f"{metric} by group"
    note = "Ring: before. Dot with its 95 % interval: after. The axis does not begin at zero."
    return Section(
        "groups",
        "Groups",
        notes=_notes(groups, metric),
        pictures=(Picture(drawing, title, note),),
        tables=tables(_table(groups, metric)),
    )


def _groups(accuracy: Mapping[str, Any]) -> list[Group]:
    """The largest loss first."""
    found = [group for body in reading.mappings(accuracy.get("groups")) if (group := _group(body))]
    return sorted(found, key=lambda group: (-(group.drop[0] or 0.0), group.before.name))


def _group(body: Mapping[str, Any]) -> Group | None:
    def figure(part: str, key: str) -> float | None:
        return reading.number(reading.at(body, part, key))

    before, after = figure("before", "value"), figure("after", "value")
    low, high = figure("after", "low"), figure("after", "high")
    if before is None or after is None:
        return None
    name = reading.text(body.get("group"))
    held = pairs.Pair(
        name, before, after, after if low is None else low, after if high is None else high
    )
    drop = figure("drop", "value"), figure("drop", "low"), figure("drop", "high")
    return Group(name, reading.number(body.get("samples")), held, drop)


def _notes(groups: list[Group], metric: str) -> tuple[str, ...]:
    """The gap is the distance between the best and the worst group."""
    _, difference = figures.score(metric)
    gaps = []
    for side in ("before", "after"):
        ordered = sorted(groups, key=lambda group: (getattr(group.before, side), group.name))
        worst, best = ordered[0], ordered[-1]
        gap = getattr(best.before, side) - getattr(worst.before, side)
        gaps.append((gap, f"{difference(gap)} ({best.name} over {worst.name})"))
    (first, told_first), (second, told_second) = gaps
    change = second - first
    said = (
        f"quantization widened it by {difference(change)}"
        if change > 1e-9
        else "quantization did not widen it"
    )
    shown = "" if len(groups) <= SHOWN else f" The {SHOWN} groups that lose most are drawn."
    return (f"Largest gap before: {told_first}; after: {told_second}: {said}.{shown}",)


def _table(groups: list[Group], metric: str) -> Table:
    unit, difference = figures.score(metric)
    rows = [
        [
            group.name,
            figures.whole(group.samples),
            unit(group.before.before),
            unit(group.before.after),
            *_drop(group, difference),
        ]
        for group in groups
    ]
    points = f", {difference.name}" if difference.name else ""
    headings = ("group", "samples", "before", "after", f"drop{points}", f"95 % interval{points}")
    return table(
        f"Groups ({len(rows)})", headings, rows, figures=range(1, 6), folded=len(rows) > SHOWN
    )


def _drop(group: Group, unit: Unit) -> tuple[str, str]:
    value, low, high = group.drop
    shown = figures.MISSING if value is None else unit.bare(value)
    if low is None or high is None:
        return shown, figures.MISSING
    return shown, f"{unit.bare(low)} to {unit.bare(high)}"
