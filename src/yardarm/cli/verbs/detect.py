"""`yardarm detect`: what a device is, and which profile fits it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yardarm.cli import console, options

if TYPE_CHECKING:
    from yardarm.artifacts import Jetson
    from yardarm.flow.detect import Detected


_OFFERED = {True: "ok", False: "no", None: "?"}
_SAYS = {True: "there", False: "missing", None: "not told"}


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
        "base": dataclasses.asdict(found.base) if found.base else None,
        "routes": [dataclasses.asdict(each) | {"offered": each.offered} for each in found.routes],
    }
    console.show(body, as_json=as_json, text=_text(host, found))


def _text(host: str, found: Detected) -> str:
    rows = [[name, value or "-"] for name, value in _rows(found)]
    table = console.table(["fact", host], rows)
    return f"{table}{_routes(found)}\nprofile: {found.profile.name}"


def _routes(found: Detected) -> str:
    """The ways to run models, where there is a choice, and how to get what is missing."""
    if not found.facts.jetson:
        return ""
    rows = [
        [
            *(["", ""] if later else [_OFFERED[each.offered], each.title]),
            _SAYS[need.there],
            need.what,
        ]
        for each in found.routes
        for later, need in enumerate(each.needs)
    ]
    mends = [
        f"{need.what}: {need.mend}" for each in found.routes for need in each.needs if need.mend
    ]
    notes = [f"{each.title}: {each.note}" for each in found.routes if each.note]
    if found.base:
        carried = ", ".join(found.base.carries.values())
        notes.append(
            f"an image for it: docker/{found.base.recipe} on {found.base.name}; it has {carried}"
        )
    table = console.table(["", "route", "", "needs"], rows)
    return "\n".join(["", table, *dict.fromkeys([*mends, *notes]), ""])


def _rows(found: Detected) -> list[tuple[str, str]]:
    from yardarm.artifacts import EMULATED

    facts = found.facts
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
    if facts.jetson:
        rows += _jetson(found, facts.jetson)
    if facts.emulated:
        rows.append(("note", EMULATED))
    return rows


def _jetson(found: Detected, jetson: Jetson) -> list[tuple[str, str]]:
    pinned = {True: "pinned", False: "moving", None: "not told (needs root)"}
    gpu = ", ".join(f"{name}: {_SAYS[told]}" for name, told in jetson.nvidia.items())
    modes = ", ".join(f"{name} ({number})" for name, number in jetson.power_modes.items())
    return [
        ("L4T", f"{found.facts.jetpack} ({_jetpack(found)})"),
        (
            "TensorRT",
            f"{jetson.tensorrt or 'none'}, python3 imports "
            f"{jetson.python_tensorrt or 'none'} (on its own system)",
        ),
        ("CUDA, cuDNN", f"{jetson.cuda or 'none'}, {jetson.cudnn or 'none'} (on its own system)"),
        ("power mode", jetson.power_mode),
        ("power modes", modes),
        ("clocks", pinned[jetson.clocks_pinned]),
        ("DLA cores", "" if jetson.dla is None else str(jetson.dla)),
        ("GPU in containers", gpu),
    ]


def _jetpack(found: Detected) -> str:
    if found.release:
        return f"JetPack {found.release.jetpack}, TensorRT {found.release.tensorrt}"
    near = found.nearest
    return f"unknown; nearest is JetPack {near.jetpack}, L4T {near.l4t[-1]}" if near else "unknown"
