"""How the command line talks: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from yardarm.errors import YardarmError
from yardarm.events import Advanced, Event, Finished, Note, Sink, Started

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


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
    """A sink that draws bars on a terminal, and writes plain lines elsewhere (stderr)."""
    if not sys.stderr.isatty():
        yield _plain
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
        yield _Drawn(bars)


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


_titles: dict[str, str] = {}


def _plain(event: Event) -> None:
    match event:
        case Started(step, title):
            _titles[step] = title
        case Finished(step):
            sys.stderr.write(_finished(event, _titles.get(step, step)) + "\n")
        case Note(text, level):
            sys.stderr.write(_note(text, level) + "\n")
        case Advanced():
            pass
    sys.stderr.flush()


def _finished(event: Finished, title: str) -> str:
    seconds = "nothing to do" if event.cached else f"{event.seconds:.1f} s"
    return f"{title:<24} {seconds:>13}  {event.detail}".rstrip()


def _note(text: str, level: str) -> str:
    return f"{level}: {text}" if level != "info" else text


def _amount(done: int, total: int, unit: str) -> str:
    if unit == "bytes":
        return f"{done / 1e6:.1f}/{total / 1e6:.1f} MB"
    return f"{done}/{total} {unit}"
