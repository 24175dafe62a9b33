"""How the command line talks: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from yardarm.cli import signals
from yardarm.errors import YardarmError
from yardarm.events import Advanced, Event, Finished, Note, Sink, Started

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


PATIENCE = 10.0
"""Seconds after which a step that goes on says where it is."""


def show(result: Any, *, as_json: bool, text: str | None = None) -> None:
    """Print a result: `text` for people, `result` (JSON-able) with --json."""
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    elif text:
        sys.stdout.write(text.rstrip("\n") + "\n")


def table(headings: list[str], rows: list[list[str]], title: str = "") -> str:
    """A table that fits the terminal (80 columns off one), as text."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*headings, title=title or None, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        drawn.add_row(*row)
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 80)
    with console.capture() as captured:
        console.print(drawn)
    lines = captured.get().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def complain(error: YardarmError, *, as_json: bool = False) -> None:
    """Say what went wrong, where, and what to try."""
    if as_json:
        body = {
            "error": {
                "kind": type(error).__name__,
                "what": error.what,
                "where": error.where,
                "hint": error.hint,
                "exit_code": error.exit_code,
            }
        }
        sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")
    sys.stderr.write(f"error: {error.what}\n")
    if error.where:
        sys.stderr.write(f"  where: {error.where}\n")
    for number, line in enumerate(error.hint.splitlines()):
        sys.stderr.write(("    try: " if number == 0 else "         ") + line + "\n")


@contextmanager
def progress() -> Iterator[Sink]:
    """A sink that draws bars on a terminal, and writes plain lines elsewhere (stderr).

    Work that reports here stops when a signal came that something on the way swallowed.
    """
    if not sys.stderr.isatty():
        yield _stoppable(Plain(sys.stderr))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
    with bars:
        yield _stoppable(_Drawn(bars))


def _stoppable(sink: Sink) -> Sink:
    def passing(event: Event) -> None:
        signals.check()
        sink(event)

    return passing


class _Drawn:
    """Events as bars; a finished step leaves one line."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, tuple[TaskID, str]] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case Started(step, title):
                task = self._bars.add_task(title, total=None, amount="")
                self._tasks[step] = (task, title)
            case Advanced(step, done, total, unit) if step in self._tasks:
                self._bars.update(
                    self._tasks[step][0],
                    completed=done,
                    total=total,
                    amount=_amount(done, total, unit),
                )
            case Finished(step) if step in self._tasks:
                task, title = self._tasks.pop(step)
                self._bars.remove_task(task)
                self._bars.console.print(_finished(event, title), markup=False)
            case Note(text, level):
                self._bars.console.print(_note(text, level), markup=False)


class Plain:
    """Events as lines: one for a finished step, and one every ten seconds of a long one.

    Args:
        now: seconds on a clock that only goes forward.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self._running: dict[str, tuple[str, float]] = {}  # title, and when it was last told

    def __call__(self, event: Event) -> None:
        match event:
            case Started(step, title):
                self._running[step] = title, self._now()
            case Advanced(step, done, total, unit) if step in self._running:
                title, told = self._running[step]
                if self._now() - told >= PATIENCE:
                    self._running[step] = title, self._now()
                    self._write(f"{title:<24} {_amount(done, total, unit)}")
            case Finished(step):
                title, _ = self._running.pop(step, (step, 0.0))
                self._write(_finished(event, title))
            case Note(text, level):
                self._write(_note(text, level))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _finished(event: Finished, title: str) -> str:
    seconds = "nothing to do" if event.cached else f"{event.seconds:.1f} s"
    return f"{title:<24} {seconds:>13}  {event.detail}".rstrip()


def _note(text: str, level: str) -> str:
    return f"{level}: {text}" if level != "info" else text


def _amount(done: int, total: int, unit: str) -> str:
    if unit == "bytes":
        return f"{done / 1e6:.1f}/{total / 1e6:.1f} MB"
    return f"{done}/{total} {unit}"
