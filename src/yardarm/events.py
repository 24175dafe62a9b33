"""What long work says while it runs. Stages emit events; only `cli` renders them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """A step began. `title` is a phrase for a person, such as "calibrate"."""

    step: str
    title: str


@dataclass(frozen=True)
class Advanced:
    """`done` of `total` units ("samples", "bytes", …) of a step are finished."""

    step: str
    done: int
    total: int
    unit: str


@dataclass(frozen=True)
class Finished:
    """A step ended. `cached` tells that no work was needed; `seconds` is wall time."""

    step: str
    detail: str
    seconds: float
    cached: bool = False


@dataclass(frozen=True)
class Note:
    """A line that the user should see: level is "info" or "warning"."""

    text: str
    level: str = "info"


Event = Started | Advanced | Finished | Note
Sink = Callable[[Event], None]


def silent(_event: Event) -> None:
    """The sink of callers who don't listen."""


class Step:
    """A running step: report progress, and say at its end what came of it."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self._name = name
        self.detail = ""
        self.cached = False

    def advance(self, done: int, total: int, unit: str) -> None:
        self._sink(Advanced(self._name, done, total, unit))

    def note(self, text: str, level: str = "info") -> None:
        self._sink(Note(text, level))


@contextmanager
def step(sink: Sink, name: str, title: str) -> Iterator[Step]:
    """Report the start and the end of a step; set `.detail` and `.cached` inside it."""
    begun = time.monotonic()
    sink(Started(name, title))
    current = Step(sink, name)
    yield current
    sink(Finished(name, current.detail, time.monotonic() - begun, current.cached))
