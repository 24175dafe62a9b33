"""What a device is asked to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yardarm.project import Project

SCHEMA = "yardarm.plan/1"

EMULATED_ITERATIONS = 100
"""Timed inferences on a virtual device at most: its latency says nothing, however often it
is taken, and takes tens of times as long."""


def plan(
    project: Project, manifest: Mapping[str, Any], *, emulated: bool = False
) -> dict[str, Any]:
    """The plan for `yardarm_runtime bench`.

    Args:
        manifest: the bundle's manifest, which names the model's inputs.
        emulated: the device is virtual; fewer inferences are timed.
    """
    iterations = project.bench.iterations
    return {
        "schema": SCHEMA,
        "scenario": project.bench.scenario,
        "iterations": min(iterations, EMULATED_ITERATIONS) if emulated else iterations,
        "warmup": project.bench.warmup,
        "threads": project.run.threads,
        "batch": project.layout.size,
        "inputs": [item["name"] for item in manifest["inputs"]],
    }
