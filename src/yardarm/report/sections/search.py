"""What the compiler tried, what each candidate costs and loses, and which one it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import pareto
from yardarm.report.figures import Unit
from yardarm.report.page import Picture, Section, Table, table, tables


@dataclass(frozen=True)
class Candidate:
    """One candidate as the manifest tells it; None where something was not measured."""

    number: int
    name: str
    forms: str
    error: float | None
    drop: tuple[float, float, float] | None
    size: float | None
    cost: float | None
    meets: bool
    pareto: bool
    chosen: bool


def section(manifest: Mapping[str, Any]) -> Section:
    found = reading.mapping(manifest.get("search"))
    held = candidates(found)
    metric = reading.text(reading.at(manifest, "accuracy", "metric")) or "the metric"
    return Section(
        "search",
        "What was tried",
        notes=tuple(_notes(found, held, metric)) if held else (),
        pictures=tuple(_pictures(found, held, metric)),
        tables=tables(_table(held, metric)),
    )


def candidates(found: Mapping[str, Any]) -> list[Candidate]:
    chosen = reading.text(found.get("chosen"))
    return [
        _candidate(number, body, chosen)
        for number, body in enumerate(reading.mappings(found.get("candidates")), 1)
    ]


def _candidate(number: int, body: Mapping[str, Any], chosen: str) -> Candidate:
    ends = [reading.number(reading.at(body, "drop", key)) for key in ("value", "low", "high")]
    value, low, high = ends
    name = reading.text(body.get("name"))
    counts = reading.mapping(body.get("forms")).items()
    return Candidate(
        number=number,
        name=name,
        forms=", ".join(f"{reading.text(count)} {form}" for form, count in counts if count),
        error=reading.number(body.get("error")),
        drop=None if value is None or low is None or high is None else (value, low, high),
        size=reading.number(body.get("size")),
        cost=reading.number(body.get("cost")),
        meets=body.get("meets") is True,
        pareto=body.get("pareto") is True,
        chosen=bool(chosen) and name == chosen,
    )


def _notes(found: Mapping[str, Any], held: list[Candidate], metric: str) -> Iterator[str]:
    _, difference = figures.score(metric)
    limit = reading.number(reading.at(found, "aim", "max_drop"))
    meets = sum(candidate.meets for candidate in held)
    if limit is not None:
        given = reading.at(found, "aim", "given") is True
        whose = "The budget" if given else "The aim, for the project sets none,"
        yield f"{whose} is a drop of {difference(limit)} at most; {_count(meets, held)} it."
    for candidate in held:
        if candidate.chosen:
            yield f"Taken: {candidate.number}, {candidate.name}."
    if costs := reading.text(found.get("costs")):
        yield f"Costs: {costs}."
    yield "Error: of the outputs, relative to their mean square; kept low where it costs little."


def _count(meets: int, held: list[Candidate]) -> str:
    return f"{meets} of {len(held)} candidates meet{'s' if meets == 1 else ''}"


def _pictures(found: Mapping[str, Any], held: list[Candidate], metric: str) -> Iterator[Picture]:
    limit = reading.number(reading.at(found, "aim", "max_drop"))
    kinds: tuple[tuple[str, str, Unit], ...] = (
        ("size", "size of the file", figures.MEGABYTES),
        ("cost", "cost of one inference, by fp32's", figures.PERCENT),
    )
    for field, named, unit in kinds:
        drawn = [(c, cost) for c in held if (cost := getattr(c, field)) is not None]
        points = [
            pareto.Point(c.number, cost, *c.drop, c.pareto, c.chosen) for c, cost in drawn if c.drop
        ]
        if len({point.cost for point in points}) > 1:
            axes = _axes(named, unit, metric, limit)
            title = f"Drop by {named.split(',', maxsplit=1)[0]}"
            drawing = pareto.draw(f"search-{field}", title, points, axes)
            yield Picture(drawing, title, "Numbers as in the table; whiskers are 95 % intervals.")


def _axes(named: str, unit: Unit, metric: str, limit: float | None) -> pareto.Axes:
    _, difference = figures.score(metric)
    words = f"drop of {metric}" + (f", {difference.name}" if difference.name else "")
    return pareto.Axes(f"{named}, {unit.name}", unit, words, difference, limit)


def _table(held: list[Candidate], metric: str) -> Table:
    _, difference = figures.score(metric)
    rows = [
        [
            f"{c.number}  {c.name}" + (" (taken)" if c.chosen else ""),
            "yes" if c.meets else "no",
            difference.bare(c.drop[0]) if c.drop else figures.MISSING,
            _span(difference, c.drop),
            figures.MEGABYTES(c.size),
            figures.PERCENT(c.cost),
            figures.MISSING if c.error is None else f"{c.error:.2g}",
            c.forms,
        ]
        for c in held
    ]
    in_points = f", {difference.name}" if difference.name else ""
    headings = (
        "candidate",
        "meets",
        f"drop{in_points}",
        f"95 % interval{in_points}",
        "size",
        "cost",
        "error",
        "nodes",
    )
    return table(f"Candidates ({len(rows)})", headings, rows, figures=(2, 3, 4, 5, 6))


def _span(unit: Unit, drop: tuple[float, float, float] | None) -> str:
    return f"{unit.bare(drop[1])} to {unit.bare(drop[2])}" if drop else figures.MISSING
