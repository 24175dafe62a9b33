"""`yardarm detect`: what a device is, and which profile fits it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yardarm.cli import console, options

if TYPE_CHECKING:
    from yardarm.flow.detect import Detected


def register(app: typer.Typer) -> None:
    app.command("detect")(detect)


def detect(
    host: options.Host, project: options.ProjectDir = Path(), as_json: options.Json = False
) -> None:
    """Ask a device what it is, and name its profile.

    Example: yardarm detect pi@raspberrypi.local
    """
    from yardarm.flow import detect as flow

    found = flow.detect(host, project.parent if project.is_file() else project)
    body = {
        "host": host,
        "profile": found.profile.name,
        "facts": dataclasses.asdict(found.facts),
        "release": found.release.model_dump(mode="json") if found.release else None,
    }
    console.show(body, as_json=as_json, text=_text(host, found))


def _text(host: str, found: Detected) -> str:
    rows = [[name, value or "-"] for name, value in _rows(found)]
    return console.table(["fact", host], rows) + f"\nprofile: {found.profile.name}"


def _rows(found: Detected) -> list[tuple[str, str]]:
    from yardarm.artifacts import EMULATED

    facts, release = found.facts, found.release
    engines = ", ".join(f"{name} {version}" for name, version in facts.engines.items())
    shared = " (emulated: the host's)" if facts.emulated else ""
    rows = [
        ("model", facts.model),
        ("machine", f"{facts.machine}, {facts.userland_bits}-bit userland"),
        ("CPU", f"{facts.cores} cores, part {facts.cpu_part or '?'}"),
        ("features", " ".join(facts.features)),
        ("memory", f"{facts.memory_mb} MB{shared}"),
        ("free disk", f"{facts.free_disk_mb} MB{shared}"),
        ("system", facts.os),
        ("glibc", facts.glibc),
        ("python3", facts.python),
        ("engines", engines),
    ]
    if facts.jetpack:
        known = f"JetPack {release.jetpack}, TensorRT {release.tensorrt}" if release else "unknown"
        rows.append(("L4T", f"{facts.jetpack} ({known})"))
    if facts.emulated:
        rows.append(("note", EMULATED))
    return rows
