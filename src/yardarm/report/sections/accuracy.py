"""Accuracy before, after and on the device, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import estimates
from yardarm.report.figures import Unit
from yardarm.report.page import Picture, Section, table, tables
from yardarm.report.sections import nodes


@dataclass(frozen=True)
class Line:
    """One estimate as shown. `value`, `low`, `high` are None where it was not measured."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    samples: float | None
    method: str
    unit: Unit

    @property
    def shown(self) -> str:
        return self.unit(self.value)

    @property
    def interval(self) -> str:
        return self.unit.span(self.low, self.high)


def lines(accuracy: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[Line]:
    """Host before, host after, device, drop; only those that the data has."""
    unit, difference = figures.score(reading.text(accuracy.get("metric")))
    compiled = precision(manifest)
    found = [
        _line("host, fp32", accuracy.get("before"), unit),
        _line(f"host, {compiled}", accuracy.get("after"), unit),
        _line(f"device, {compiled}", accuracy.get("device"), unit),
        _line("drop on the host", accuracy.get("drop"), difference),
    ]
    return [line for line in found if line.value is not None]


def precision(manifest: Mapping[str, Any]) -> str:
    """What the compiled model is called: int8 as soon as one node is. For TensorRT, where most
    of a mix is float16, just compiled."""
    if manifest.get("target") == "tensorrt":
        return "compiled"
    found = reading.mappings(manifest.get("nodes"))
    whole = any(nodes.in_int8(reading.text(node.get("precision"))) for node in found)
    return "int8" if whole else "compiled"


def agreement(accuracy: Mapping[str, Any]) -> str:
    """On how many samples device and host decide alike; "" if unknown."""
    same = reading.number(reading.at(accuracy, "agreement", "same"))
    samples = reading.number(reading.at(accuracy, "agreement", "samples"))
    if same is None or not samples:
        return ""
    share = figures.Unit("%", 100, 2)(same / samples)
    return f"{figures.whole(same)} of {figures.whole(samples)} samples ({share})"


def section(accuracy: Mapping[str, Any], manifest: Mapping[str, Any]) -> Section:
    metric = reading.text(accuracy.get("metric")) or "accuracy"
    shown = lines(accuracy, manifest)
    rows = [[x.label, x.shown, x.interval, figures.whole(x.samples)] for x in shown]
    headings = (metric, "value", "95 % interval", "samples")
    return Section(
        "accuracy",
        "Accuracy",
        notes=_notes(shown, agreement(accuracy), reading.text(accuracy.get("measured"))),
        pictures=_picture(metric, shown),
        tables=tables(table("Accuracy", headings, rows, figures=(1, 2, 3))),
    )


def _notes(shown: list[Line], agreed: str, measured: str) -> tuple[str, ...]:
    if not shown:
        return ("No accuracy was measured.",)
    methods = sorted({line.method for line in shown} - {""})
    said = [f"Device and host decide alike on {agreed}."] if agreed else []
    said += [f"Measured {measured}."] if measured else []
    return (*said, *([f"Intervals by: {', '.join(methods)}."] if methods else []))


def _picture(metric: str, shown: list[Line]) -> tuple[Picture, ...]:
    rows = [
        estimates.Row(x.label, x.value, x.low, x.high, "quiet" if x.label == "host, fp32" else "")
        for x in shown
        if not x.label.startswith("drop")
        and x.value is not None
        and x.low is not None
        and x.high is not None
    ]
    if not rows:
        return ()
    drawing = estimates.draw("accuracy-estimates", metric, rows, shown[0].unit)
    title = f"{metric}, value and 95 % interval"
    return (Picture(drawing, title, "The axis begins where the data does, not at zero."),)


def _line(label: str, estimate: Any, unit: Unit) -> Line:
    body = reading.mapping(estimate)
    value = reading.number(body.get("value"))
    low, high = reading.number(body.get("low")), reading.number(body.get("high"))
    samples = reading.number(body.get("samples"))
    return Line(label, value, low, high, samples, reading.text(body.get("method")), unit)
