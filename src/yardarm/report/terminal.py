"""The result in a few lines, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import frame
from yardarm.report.sections import accuracy, latency
from yardarm.report.sections import verdict as verdicts

HEADINGS = ["figure", "value", "95 % interval or note"]


def summary(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: verdict, accuracy, latency, size."""
    manifest = reading.mapping(reading.at(result, "bundle", "manifest"))
    rows = [
        ["verdict", verdicts.verdict(result).status, _why(result)],
        *_accuracy(reading.mapping(result.get("accuracy")), manifest),
        *_latency(reading.mapping(result.get("latency")), verdicts.emulated(result)),
        *_size(manifest),
    ]
    return HEADINGS, [[_one_line(cell) for cell in row] for row in rows]


def _why(result: Mapping[str, Any]) -> str:
    found = verdicts.verdict(result)
    # The status stands beside it: the headline's own repetition of it is dropped.
    said = found.headline.split(": ", 1)[-1]
    return "; ".join([said, *found.reasons])


def _accuracy(scores: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[list[str]]:
    metric = reading.text(scores.get("metric"))
    for line in accuracy.lines(scores, manifest):
        label = line.label if line.label.startswith("drop") else f"{metric} {line.label}".strip()
        yield [label, line.shown, line.interval]
    if agreed := accuracy.agreement(scores):
        same, _, share = agreed.partition(" samples ")
        yield ["device agrees with host", same, share.strip("()")]


def _latency(times: Mapping[str, Any], emulated: bool) -> Iterator[list[str]]:
    unit = latency.unit(times)
    for found in latency.percentiles(times):
        note = frame.EMULATED if emulated and found.value is not None else ""
        yield [f"latency {found.name}", found.shown(unit), found.lack or note]


def _size(manifest: Mapping[str, Any]) -> Iterator[list[str]]:
    after = reading.number(reading.at(manifest, "model", "size"))
    before = reading.number(reading.at(manifest, "source", "size"))
    if after is not None:
        note = f"{figures.MEGABYTES(before)} before" if before is not None else ""
        yield ["model size", figures.MEGABYTES(after), note]


def _one_line(cell: str) -> str:
    return " ".join(cell.split())
