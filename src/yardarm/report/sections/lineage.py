"""Where everything came from: digests, tools, the device, the image, the environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import frame
from yardarm.report.page import Cell, Section, Table, table, tables

_HASH = re.compile(r"(sha256:)?[0-9a-f]{40,64}")

_STEPS = {
    "git": "project's revision",
    "source": "source model",
    "calibration": "calibration data",
    "evaluation": "evaluation data",
    "model": "compiled model",
    "bundle": "bundle",
    "image": "image",
    "release": "release",
}

_FACTS = {
    "userland_bits": "userland, bits",
    "cpu_part": "CPU part",
    "memory_mb": "memory, MB",
    "os": "operating system",
    "engines": "container engines",
    "free_disk_mb": "free disk, MB",
    "jetpack": "L4T release",
}


_MEASURED = ("load", "memory.total_mb", "memory.available_mb")
_SHARED = ("memory_mb", "free_disk_mb")
"""Facts of a virtual device that are its host's."""


def _marked(value: str, hosts: bool) -> str:
    return f"{value} ({frame.HOSTS})" if hosts else value


def identity(value: Any) -> Cell:
    """A digest or revision by its first twelve digits, with the whole of it at hand."""
    shown = reading.text(value)
    if not _HASH.fullmatch(shown):
        return Cell(shown or figures.MISSING)
    return Cell(shown.removeprefix("sha256:")[:12], full=shown)


def lineage(digests: Mapping[str, Any]) -> Section:
    names = [*(key for key in _STEPS if key in digests), *(k for k in digests if k not in _STEPS)]
    rows: list[tuple[Cell | str, ...]] = [
        (_STEPS.get(name, reading.text(name)), identity(digests[name])) for name in names
    ]
    return Section(
        "lineage",
        "Lineage",
        notes=() if rows else ("No lineage was recorded.",),
        tables=tables(table("What this was made from", ("artifact", "digest"), rows)),
    )


def compiled(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The digests that a bundle's manifest knows, in the order of the flow."""
    found = {
        "source": reading.at(manifest, "source", "digest"),
        "calibration": reading.at(manifest, "data", "calibration", "digest"),
        "evaluation": reading.at(manifest, "data", "evaluation", "digest"),
        "model": reading.at(manifest, "model", "digest"),
    }
    return {name: digest for name, digest in found.items() if digest}


def device(facts: Mapping[str, Any], emulated: bool) -> Section:
    rows = [
        (_FACTS.get(key, key.replace("_", " ")), _marked(value, emulated and key in _SHARED))
        for key, value in reading.flat(facts)
        if value and key != "emulated"
    ]
    return Section("device", "Device", tables=tables(pairs("What the device says", rows)))


def environment(result: Mapping[str, Any], emulated: bool) -> Section:
    seen = reading.mapping(result.get("environment"))
    before, after = seen.get("before"), seen.get("after")
    paired = isinstance(before, Mapping) and isinstance(after, Mapping)
    rest = {k: v for k, v in seen.items() if not (paired and k in ("before", "after"))}
    return Section(
        "environment",
        "Environment",
        tables=tables(
            _compared(before, after, emulated) if paired else pairs("", ()),
            pairs("Settings" if paired else "Surroundings of the run", reading.flat(rest)),
            pairs("Processor, as the runtime sees it", reading.flat(result.get("cpu"))),
            pairs("Versions in the image", reading.flat(result.get("versions"))),
        ),
    )


def image(body: Mapping[str, Any]) -> Section:
    contents = list(reading.flat(body.get("contents")))
    size = reading.number(body.get("size_mb"))
    said = [
        ("size", f"{figures.plain(size)}{figures.SPACE}MB" if size is not None else ""),
        ("packages", figures.whole(len(contents)) if contents else ""),
    ]
    rows: list[list[Cell | str]] = [[label, value] for label, value in said if value]
    for name, key in (("manifest", "digest"), ("configuration", "config")):
        if body.get(key):
            rows.append([name, identity(body[key])])
    listed = table(
        f"Packages in the image ({len(contents)})", ("package", "version"), contents, folded=True
    )
    shown = table("Image", ("image", "value"), rows)
    return Section("image", "Image", tables=tables(shown, listed))


def tools(manifest: Mapping[str, Any]) -> Section:
    return Section(
        "tools",
        "How it was compiled",
        tables=tables(
            pairs("Options", reading.flat(manifest.get("options"))),
            pairs("Tools", reading.flat(manifest.get("tools"))),
        ),
    )


def pairs(caption: str, rows: Iterable[tuple[str, str]]) -> Table:
    return table(caption, ("name", "value"), rows)


def _compared(before: Any, after: Any, emulated: bool) -> Table:
    first, last = dict(reading.flat(before)), dict(reading.flat(after))
    rows = [
        [_marked(key, emulated and key in _MEASURED), first.get(key, ""), last.get(key, "")]
        for key in {**first, **last}
        if key != "t" and (first.get(key) or last.get(key))  # t is a clock, not a reading
    ]
    return table("Before and after the run", ("reading", "before", "after"), rows)
