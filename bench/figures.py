"""Figures of benchmarks: what was measured, beside which peer, and the bar they must reach."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class Bar:
    """A limit on a figure's value, or on its ratio to the peer's value."""

    of: Literal["value", "ratio"]
    limit: float
    at_most: bool = True

    def met_by(self, number: float) -> bool:
        return number <= self.limit if self.at_most else number >= self.limit

    def __str__(self) -> str:
        return f"{self.of} {'<=' if self.at_most else '>='} {self.limit:g}"


@dataclass(frozen=True)
class Figure:
    """`name` is group/figure, such as `image/warm`; `peer_value` has the same unit, and was
    measured in the same run."""

    name: str
    value: float
    unit: str
    bar: Bar
    peer: str | None = None
    peer_value: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.peer_value if self.peer_value else None

    @property
    def meets(self) -> bool:
        number = self.value if self.bar.of == "value" else self.ratio
        return number is not None and self.bar.met_by(number)

    def record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": _rounded(self.peer_value),
            "ratio": _rounded(self.ratio),
            "bar": str(self.bar),
            "meets": self.meets,
        }


Peer = tuple[str, float]
"""What ran beside ours, and what it took, in the figure's unit."""


class Hand(Protocol):
    """How a benchmark hands in a figure."""

    def __call__(
        self, name: str, value: float, unit: str, bar: Bar, peer: Peer | None = None
    ) -> None: ...


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")


def write(file: Path, figures: Sequence[Figure]) -> None:
    """Put new figures into the results; those of groups that did not run now are kept."""
    ran = {_group(figure.name) for figure in figures}
    old: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    kept = [record for record in old if _group(record["name"]) not in ran]
    records = sorted([*kept, *(f.record() for f in figures)], key=lambda r: str(r["name"]))
    file.write_text(json.dumps(records, indent=2) + "\n")


def _group(name: str) -> str:
    return name.split("/", maxsplit=1)[0]


def table(figures: Iterable[Figure]) -> str:
    lines = []
    for figure in figures:
        beside = f"{figure.peer}: {figure.peer_value:.4g} {figure.unit}" if figure.peer else ""
        verdict = "meets" if figure.meets else "MISSES"
        value = f"{figure.value:.4g} {figure.unit}"
        lines.append(
            f"{figure.name:<28} {value:>14}  {verdict} {figure.bar!s:<16} {beside}".rstrip()
        )
    return "\n".join(lines)
