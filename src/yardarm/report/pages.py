"""The two kinds of page: a measured result, and a compiled bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yardarm
from yardarm.report import figures, reading
from yardarm.report.charts import frame
from yardarm.report.page import Figure, Page, Section
from yardarm.report.sections import (
    accuracy,
    audit,
    difference,
    engine,
    groups,
    latency,
    lineage,
    nodes,
    operators,
    search,
    sensitivity,
    telemetry,
    tensors,
)
from yardarm.report.sections import verdict as verdicts

Json = Mapping[str, Any]


def of_result(result: Json) -> Page:
    """The page of a `yardarm.result/1`."""
    manifest = reading.mapping(reading.at(result, "bundle", "manifest"))
    emulated = verdicts.emulated(result)
    scores = reading.mapping(result.get("accuracy"))
    times = reading.mapping(result.get("latency"))
    return Page(
        title=reading.text(result.get("project")) or "Unnamed project",
        facts=_facts(
            ("device", result.get("host")),
            ("model", reading.at(result, "device", "model")),
            ("profile", result.get("profile")),
            ("measured", result.get("created")),
        ),
        verdict=verdicts.verdict(result),
        figures=(*_scores(scores, manifest), *_times(times, emulated), *_size(manifest)),
        sections=_filled(
            accuracy.section(scores, manifest),
            latency.section(times, emulated),
            telemetry.section(reading.mapping(result.get("telemetry")), emulated),
            nodes.section(manifest),
            lineage.lineage(reading.mapping(result.get("lineage"))),
            lineage.device(reading.mapping(result.get("device")), emulated),
            lineage.environment(result, emulated),
            lineage.image(reading.mapping(result.get("image"))),
        ),
        footer=_footer(result),
    )


def of_bundle(manifest: Json, statistics: Json, explanation: Json) -> Page:
    """The page of a `yardarm.bundle/1` with its `yardarm.statistics/1`.

    Args:
        explanation: `difference` and `operators`; empty where nobody asked for them.
    """
    scores = reading.mapping(manifest.get("accuracy"))
    return Page(
        title=reading.text(manifest.get("project")) or "Unnamed project",
        facts=_facts(
            ("profile", manifest.get("profile")),
            ("target", manifest.get("target")),
            ("source", reading.at(manifest, "source", "file")),
        ),
        verdict=None,
        figures=(*_scores(scores, manifest), *_size(manifest)),
        sections=_filled(
            accuracy.section(scores, manifest),
            groups.section(scores),
            search.section(manifest),
            sensitivity.section(manifest),
            nodes.section(manifest),
            engine.section(manifest),
            difference.section(explanation),
            operators.section(explanation),
            tensors.interface(manifest),
            audit.section(statistics),
            tensors.calibration(statistics),
            lineage.lineage(lineage.compiled(manifest)),
            lineage.tools(manifest),
        ),
        footer=_footer(manifest),
    )


def _facts(*pairs: tuple[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, shown) for name, value in pairs if (shown := reading.text(value)))


def _filled(*sections: Section) -> tuple[Section, ...]:
    return tuple(section for section in sections if not section.empty)


def _scores(scores: Json, manifest: Json) -> Iterable[Figure]:
    """The last accuracy measured, which is the device's where there is one, and the drop."""
    metric = reading.text(scores.get("metric")) or "accuracy"
    lines = accuracy.lines(scores, manifest)
    for line in [x for x in lines if not x.label.startswith("drop")][-1:]:
        yield Figure(f"{metric}, {line.label}", line.shown, line.interval)
    for line in [x for x in lines if x.label.startswith("drop")]:
        yield Figure(line.label, line.shown, line.interval)


def _times(times: Json, emulated: bool) -> Iterable[Figure]:
    unit = latency.unit(times)
    for found in latency.percentiles(times):
        if found.name in ("p50", "p99"):
            mark = frame.EMULATED if emulated and found.value is not None else ""
            yield Figure(f"latency {found.name}", found.shown(unit), found.lack, mark)


def _size(manifest: Json) -> Iterable[Figure]:
    after = reading.number(reading.at(manifest, "model", "size"))
    before = reading.number(reading.at(manifest, "source", "size"))
    if after is not None:
        note = f"{figures.MEGABYTES(before)} before" if before is not None else ""
        yield Figure("model size", figures.MEGABYTES(after), note)


def _footer(body: Json) -> str:
    schema = reading.text(body.get("schema"))
    return f"Written by yardarm {yardarm.__version__}" + (f" from {schema}." if schema else ".")
