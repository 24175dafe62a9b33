"""`yardarm wheels`: which wheels a device class gets, and why not others."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yardarm.cli import console, options
from yardarm.errors import Unsupported

if TYPE_CHECKING:
    from yardarm.flow.wheels import Locked
    from yardarm.image.doctor import Finding, Report


WIDTH = 80


def register(app: typer.Typer) -> None:
    app.command("wheels")(wheels)


def wheels(
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
    lock: Annotated[
        bool, typer.Option("--lock", help="resolve anew, and write yardarm.lock")
    ] = False,
) -> None:
    """Say which wheel of each package the device gets, or why none.

    All requirements and what they pull in are examined in one run; exit code 10 when the image
    can't be made. With --lock the versions are resolved anew and written to yardarm.lock, and
    the wheels are fetched, so that the image can be made without a network.

    Example: yardarm wheels --profile raspberry-pi-5
    """
    from yardarm.flow import wheels as flow

    with console.progress() as sink:
        try:
            locked = flow.lock(project, profile, sink) if lock else None
        except Unsupported:
            locked = None  # the findings say more
        report = None if locked else flow.examine(project, profile, sink)
    if locked:
        console.show(_changed(locked), as_json=as_json, text=_changes(locked))
    elif report:
        console.show(report.to_json(), as_json=as_json, text=_text(report))
        if not report.ready or lock:
            raise typer.Exit(Unsupported.exit_code)


def _changed(locked: Locked) -> dict[str, object]:
    return {
        "file": str(locked.file),
        "target": locked.target,
        "size_bytes": sum(each.size for each in locked.now),
        "packages": {each.name: each.version for each in locked.now},
        "changes": [
            {"name": name, "before": before or None, "now": now or None}
            for name, before, now in locked.changes()
        ],
    }


def _changes(locked: Locked) -> str:
    size = _size(sum(each.size for each in locked.now))
    lines = [f"locked  {len(locked.now)} wheels for {locked.target}, {size}: {locked.file}"]
    rows = [[name, before or "-", now or "-"] for name, before, now in locked.changes()]
    table = console.table(["package", "before", "now"], rows) if rows else "nothing changed"
    return "\n".join([*lines, "", table])


def _text(report: Report) -> str:
    rows = [_row(each) for each in report.findings]
    table = console.table(["package", "gets", "newest", "usable", "size"], rows)
    others = [each for each in report.findings if _for_another(each)]
    told = [line for each in report.findings if each not in others for line in _told(each)]
    lines = [*told, *_spared(others), *_verdict(report)]
    return "\n".join([table.rstrip(), "", *map(_wrapped, lines)]) + "\n"


def _wrapped(line: str) -> str:
    """Names stay whole, so that they can be searched for."""
    return textwrap.fill(
        *(line, WIDTH), subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def _row(found: Finding) -> list[str]:
    size = "-" if found.size is None else _size(found.size)
    return [found.name, found.version or "none", found.newest or "-", found.usable or "-", size]


def _told(found: Finding) -> Iterator[str]:
    """Why it is not the newest, and what would do."""
    if not found.reasons:
        return
    what = "" if found.version == found.newest else f" {found.newest or ''}".rstrip()
    yield f"{found.name}{what}: {'; '.join(each.text for each in found.reasons)}"
    if found.version is None:
        yield f"  asked for: {', '.join(found.asked)}"
    yield from (f"  → {route}" for route in found.routes)


def _for_another(found: Finding) -> bool:
    """Whether it can be installed, but is made for an accelerator that the device lacks."""
    return found.version is not None and any(each.kind == "variant" for each in found.reasons)


def _spared(found: Sequence[Finding]) -> Iterator[str]:
    """One paragraph for all of them: they come by the dozen."""
    if not found:
        return
    names = [each.name for each in found]
    askers = {text.partition(" of ")[2] for each in found for text in each.asked} - {"", *names}
    by = f", asked for by {', '.join(sorted(askers))}" if askers else ""
    text = next(each.text for each in found[0].reasons if each.kind == "variant")
    size = _size(sum(each.size or 0 for each in found))
    yield f"{size} that may do nothing{by}: {', '.join(names)}: {text}"


def _verdict(report: Report) -> Iterator[str]:
    if report.stale:
        yield f"{report.stale}: `yardarm wheels --lock` resolves anew"
    if report.conflict:
        yield f"packages exclude each other: {report.conflict}"
    failing = [each.name for each in report.findings if each.version is None]
    if report.ready:
        source = "as locked" if report.locked else "as resolved today"
        yield f"{report.target}: {len(report.findings)} wheels, {_size(report.size)}, {source}"
    elif failing:
        yield f"{report.target}: no image: {', '.join(failing)}"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
