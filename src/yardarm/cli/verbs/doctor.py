"""`yardarm doctor`: what is missing on this machine, and how to mend it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yardarm.cli import console, options

if TYPE_CHECKING:
    from yardarm.doctor import Check


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(project: options.ProjectDir = Path(), as_json: options.Json = False) -> None:
    """Check this machine, and say how to mend what is missing.

    Exits with 0 when only optional parts are missing, with 1 when a needed one is.

    Example: yardarm doctor
    """
    from yardarm import doctor as rules
    from yardarm.flow import doctor as flow

    found = flow.examine(project.parent if project.is_file() else project)
    healthy = rules.healthy(found)
    body = {"healthy": healthy, "checks": [dataclasses.asdict(check) for check in found]}
    console.show(body, as_json=as_json, text=_text(found, healthy))
    if not healthy:
        raise typer.Exit(1)


def _text(found: list[Check], healthy: bool) -> str:
    rows = [[_mark(check), check.name, check.serves, check.found] for check in found]
    lines = [console.table(["", "check", "serves", "found"], rows)]
    lines += [f"{check.name}: {check.mend}" for check in found if check.mend]
    lost = sorted({part for check in found if not check.ok for part in check.serves.split(", ")})
    if healthy and lost:
        lines.append(f"Optional parts are missing; these won't work: {', '.join(lost)}.")
    elif not healthy:
        lines.append("A part that every project needs is missing.")
    else:
        lines.append("All is there.")
    return "\n".join(lines)


def _mark(check: Check) -> str:
    return "ok" if check.ok else "MISSING" if check.needed else "optional"
