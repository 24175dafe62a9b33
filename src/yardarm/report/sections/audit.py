"""Was the calibration set large enough: how ranges settle, what they cut off, dead channels."""

from __future__ import annotations

import statistics as numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import settling
from yardarm.report.page import Picture, Section, Table, table, tables

SHOWN = 10
SHARES = {"1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2}
_PERCENT = figures.Unit("%", 100)


@dataclass(frozen=True)
class Tensor:
    """`moves`: by share of the samples; `used` and `held_out`: shares of values cut off."""

    name: str
    moves: Mapping[str, float | None]
    used: float | None
    held_out: float | None

    @property
    def last(self) -> float:
        return self.moves["1/2"] or 0.0


def section(statistics: Mapping[str, Any]) -> Section:
    found = reading.mapping(statistics.get("audit"))
    tensors = _tensors(found)
    return Section(
        "audit",
        "Was calibration enough?",
        notes=tuple(_notes(found, tensors)),
        pictures=_picture(found, tensors),
        tables=tables(*_tables(tensors), _dead(found)),
    )


def _tensors(found: Mapping[str, Any]) -> list[Tensor]:
    """What moves most comes first."""
    held = [
        Tensor(
            reading.text(name),
            {share: reading.number(reading.at(body, "settling", share)) for share in SHARES},
            reading.number(reading.at(body, "saturation", "used")),
            reading.number(reading.at(body, "saturation", "held_out")),
        )
        for name, body in reading.mapping(found.get("tensors")).items()
    ]
    return sorted(held, key=lambda tensor: (-tensor.last, tensor.name))


def _notes(found: Mapping[str, Any], tensors: list[Tensor]) -> Iterator[str]:
    if said := reading.text(found.get("verdict")):
        yield said[:1].upper() + said[1:] + "."
    cut = [t for t in tensors if t.used is not None and t.held_out is not None]
    if cut:
        worst = max(cut, key=lambda tensor: (tensor.held_out or 0.0, tensor.name))
        yield (
            f"Ranges from seven eighths of the samples cut off {_PERCENT(worst.held_out)} of the "
            f"values at most on the last eighth ({worst.name}), and {_PERCENT(worst.used)} on "
            "their own."
        )
    dead = reading.mapping(found.get("dead"))
    if dead:
        count = sum(len(reading.sequence(channels)) for channels in dead.values())
        channels = "1 channel" if count == 1 else f"{figures.whole(count)} channels"
        yield f"{channels} had the same value throughout: dead, or not reached by these samples."


def _picture(found: Mapping[str, Any], tensors: list[Tensor]) -> tuple[Picture, ...]:
    samples = reading.number(found.get("samples"))
    stages = [
        settling.Stage(samples * part, max(moves), numbers.median(moves))
        for share, part in SHARES.items()
        if samples and (moves := [m for t in tensors if (m := t.moves[share]) is not None])
    ]
    if len(stages) < 2 or not samples:
        return ()
    whole = [*stages, settling.Stage(samples, 0.0, 0.0)]
    title = "How ranges settle with the number of samples"
    drawing = settling.draw("audit-settling", title, whole, reading.number(found.get("tolerance")))
    note = "Against the range from all samples."
    legend = ("half of the ranges are closer", "the one that moves most")
    return (Picture(drawing, title, note, legend),)


def _tables(tensors: list[Tensor]) -> Iterator[Table]:
    shown = min(SHOWN, len(tensors))
    yield _settling(f"The {shown} ranges that move most", tensors[:SHOWN])
    if len(tensors) > SHOWN:
        yield _settling(f"All ranges ({len(tensors)})", tensors, folded=True)


def _settling(caption: str, tensors: list[Tensor], *, folded: bool = False) -> Table:
    rows = [
        [t.name, *(figures.PERCENT(t.moves[share]) for share in SHARES), _PERCENT(t.held_out)]
        for t in tensors
    ]
    headings = ("tensor", "at 1/8", "at 1/4", "at 1/2", "cut off")
    return table(caption, headings, rows, figures=(1, 2, 3, 4), folded=folded)


def _dead(found: Mapping[str, Any]) -> Table:
    rows = [
        [
            reading.text(name),
            figures.whole(len(reading.sequence(channels))),
            reading.text(list(reading.sequence(channels))),
        ]
        for name, channels in reading.mapping(found.get("dead")).items()
    ]
    headings = ("tensor", "channels", "their numbers")
    caption = f"Dead channels, by tensor ({len(rows)})"
    return table(caption, headings, rows, figures=(1,), folded=True)
