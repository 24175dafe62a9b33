"""What a report is made of, free of HTML and Markdown: both are drawn from these values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

MOST_ROWS = 300
"""Rows of one table that are shown; the rest is counted."""


@dataclass(frozen=True)
class Cell:
    """A table's cell. `full` is what `text` abbreviates."""

    text: str
    full: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first column names the row.

    Attributes:
        figures: indices of the columns that hold numbers.
        folded: shown on request in HTML, left out of Markdown.
        mark: the warning beside the caption.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    figures: frozenset[int] = frozenset()
    folded: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawing and the sentence under it. `legend` names the colours, in their order."""

    svg: Markup
    title: str
    note: str = ""
    legend: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of the page. `mark` is the warning beside its title; `small`: small multiples."""

    key: str
    title: str
    mark: str = ""
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    small: bool = False

    @property
    def empty(self) -> bool:
        return not (self.notes or self.pictures or self.tables)


@dataclass(frozen=True)
class Verdict:
    """`tone` is one of emulated, valid, insufficient, unknown."""

    tone: str
    status: str
    headline: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """One of the few numbers at the top."""

    label: str
    value: str
    note: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    verdict: Verdict | None
    figures: tuple[Figure, ...]
    sections: tuple[Section, ...]
    footer: str


def table(
    caption: str,
    headings: Iterable[str],
    rows: Iterable[Iterable[Cell | str]],
    *,
    figures: Iterable[int] = (),
    folded: bool = False,
    mark: str = "",
) -> Table:
    """A table of at most `MOST_ROWS` rows, each filled up to the number of headings."""
    named = tuple(headings)
    cells = [tuple(c if isinstance(c, Cell) else Cell(c) for c in row) for row in rows]
    shown = cells[:MOST_ROWS]
    if len(cells) > MOST_ROWS:
        shown.append((Cell(f"… and {len(cells) - MOST_ROWS} more"),))
    filled = tuple(row + (Cell(""),) * (len(named) - len(row)) for row in shown)
    return Table(caption, named, filled, frozenset(figures), folded, mark)


def tables(*found: Table) -> tuple[Table, ...]:
    """Those that have rows."""
    return tuple(item for item in found if item.rows)
