"""A result: one measurement of one release on one device, with everything it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yardarm import metrics
from yardarm.artifacts import Bundle, Facts, Image, Release
from yardarm.errors import InvalidInput
from yardarm.measure import statistics
from yardarm.measure.run import Run
from yardarm.measure.verdict import verdict
from yardarm.project import MetricSection

SCHEMA = "yardarm.result/1"

Outputs = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Measured:
    """What a result is made of.

    Attributes:
        project, profile, host: their names, as the user knows them.
        emulated: the device is virtual, by its address or by what it says of itself.
        bundle: the one of the release that was run.
        run: the files that came back.
        labels: [N] of the evaluation samples, in their order.
        host_outputs: what the same model file answered on the host to the same samples;
            None: not computed.
        telemetry: records of the agent around the run.
        revision: the project's git revision, None outside git.
        created: with a time zone.
        metric: by which the outputs are scored.
    """

    project: str
    profile: str
    host: str
    emulated: bool
    facts: Facts
    release: Release
    bundle: Bundle
    image: Image
    run: Run
    labels: NDArray[np.generic]
    host_outputs: Outputs | None
    telemetry: Sequence[Mapping[str, Any]]
    revision: str | None
    created: datetime
    metric: MetricSection = field(default_factory=MetricSection)


def result(measured: Measured) -> dict[str, Any]:
    """The `yardarm.result/1` of a measurement; JSON values only.

    Raises:
        InvalidInput: the device's outputs don't fit the metric, the labels or the host's.
    """
    report = measured.run.report
    latency = _latency(measured.run)
    emulated = measured.emulated or measured.facts.emulated
    return {
        "schema": SCHEMA,
        "project": measured.project,
        "profile": measured.profile,
        "host": measured.host,
        "created": measured.created.astimezone(UTC).isoformat(timespec="seconds"),
        "emulated": emulated,
        "verdict": verdict(emulated=emulated, insufficient=latency["insufficient"]),
        "device": _facts(measured.facts),
        "release": {"digest": measured.release.digest, "version": measured.release.version},
        "bundle": {"digest": measured.bundle.digest, "manifest": dict(measured.bundle.manifest)},
        "image": _image(measured.image),
        "accuracy": _accuracy(measured),
        "latency": latency,
        "telemetry": {"records": [dict(record) for record in measured.telemetry]},
        "environment": report["environment"],
        "versions": report["versions"],
        "engine": report.get("engine"),
        "cpu": report["cpu"],
        "lineage": _lineage(measured),
    }


def _image(image: Image) -> dict[str, Any]:
    return {
        "digest": image.digest,
        "config": image.config.digest,
        "size_mb": round(sum(layer.size for layer in image.layers) / 1e6, 3),
        "contents": dict(image.contents),
    }


def _accuracy(measured: Measured) -> dict[str, Any]:
    """Before and after as the host found them at compile time, and the device's own; its drop
    is against what the same file answered on the host."""
    known = measured.bundle.manifest["accuracy"]
    told = {key: known[key] for key in ("metric", "before", "after", "drop")}
    section, outputs, labels = measured.metric, measured.run.outputs, measured.labels
    if measured.host_outputs is None:
        device = metrics.score(section, outputs, labels)
        return {**told, "device": asdict(device), "device_drop": None, "agreement": None}
    found = metrics.compare(section, measured.host_outputs, outputs, labels)
    return {
        **told,
        "device": asdict(found.after),
        "device_drop": asdict(found.drop),
        "agreement": agreement(measured.host_outputs, outputs, known["output"]),
    }


def agreement(host: Outputs, device: Outputs, output: str | None) -> dict[str, int]:
    """In how many samples host and device decide alike: the same argmax over all values.

    Args:
        host, device: outputs by name, [N, …], or arrays of arrays.
        output: the one that counts; None: the first.

    Raises:
        InvalidInput: the output is missing on a side, or the shapes differ.
    """
    name = output if output is not None else next(iter(host))
    if name not in host or name not in device or host[name].shape != device[name].shape:
        raise InvalidInput(
            f"host and device differ in the shape of output {name!r}", where="outputs"
        )
    ours, theirs = (_decided(side[name]) for side in (host, device))
    return {"same": int((ours == theirs).sum()), "samples": len(ours)}


def _decided(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """The place of each sample's largest value; -1 without any."""
    if values.dtype == object:
        return np.array([int(np.argmax(item)) if np.size(item) else -1 for item in values])
    rows = values.reshape(len(values), -1)
    return np.asarray(rows.argmax(axis=1) if rows.shape[1] else np.full(len(rows), -1), np.int64)


def _latency(run: Run) -> dict[str, Any]:
    microseconds = (run.samples[:, 1] / 1e3).tolist()
    return {
        "scenario": run.report["plan"]["scenario"],
        "unit": "us",
        "samples": microseconds,
        "starts_s": (run.samples[:, 0] / 1e9).tolist(),
        "percentiles": statistics.percentiles(microseconds),
        "insufficient": statistics.insufficient(len(microseconds)),
        "mean": sum(microseconds) / len(microseconds),
        "min": min(microseconds),
        "max": max(microseconds),
        "cold": run.report["cold"],
        "floor_us": run.report["floor_ns"] / 1e3,
    }


def _lineage(measured: Measured) -> dict[str, Any]:
    manifest = measured.bundle.manifest
    return {
        "git": measured.revision,
        "source": manifest["source"]["digest"],
        "calibration": manifest["data"]["calibration"]["digest"],
        "evaluation": manifest["data"]["evaluation"]["digest"],
        "bundle": measured.bundle.digest,
        "image": measured.image.digest,
        "release": measured.release.digest,
    }


def _facts(facts: Facts) -> dict[str, Any]:
    """With lists and dicts, as JSON will give them back."""
    changed = {"features": list(facts.features), "engines": dict(facts.engines)}
    return {item.name: getattr(facts, item.name) for item in fields(facts)} | changed
