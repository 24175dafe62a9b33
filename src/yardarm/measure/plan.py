"""What a device is asked to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yardarm.project import Project

SCHEMA = "yardarm.plan/1"


def plan(project: Project, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The plan for `yardarm_runtime bench`.

    Args:
        manifest: the bundle's manifest, which names the model's inputs.
    """
    return {
        "schema": SCHEMA,
        "scenario": project.bench.scenario,
        "iterations": project.bench.iterations,
        "warmup": project.bench.warmup,
        "threads": project.run.threads,
        "batch": project.data.batch,
        "inputs": [item["name"] for item in manifest["inputs"]],
    }
