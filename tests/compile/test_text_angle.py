"""The example from end to end: a real model on labelled data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np


def test_text_angle_compiles_within_its_budget(text_angle: Path, cli: Any, tmp_path: Path) -> None:
    ran = cli(
        "compile",
        *("--project", text_angle, "--profile", "raspberry-pi-5"),
        *("--output", tmp_path / "out", "--json"),
    )
    accuracy = ran.json["accuracy"]
    assert 0.94 <= accuracy["before"]["value"] <= 0.98
    assert accuracy["before"]["samples"] == 1000
    assert accuracy["drop"]["value"] <= 0.004
    assert accuracy["drop"]["low"] <= accuracy["drop"]["value"] <= accuracy["drop"]["high"]
    assert ran.json["size"]["model_bytes"] < 0.4 * ran.json["size"]["source_bytes"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    convolutions = [node for node in manifest["nodes"] if node["op"] == "Conv"]
    assert len(convolutions) == 53
    precisions = [node["precision"] for node in convolutions]
    assert set(precisions) <= {"int8", "int8-weights", "fp32"} and precisions.count("int8") > 30


def test_preparing_again_does_nothing(text_angle: Path, repository: Path) -> None:
    data = repository / "examples" / "text-angle" / "data" / "evaluation.npz"
    before = data.stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, repository / "examples" / "text-angle" / "prepare.py"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "already there" in done.stdout
    assert data.stat().st_mtime_ns == before


def test_half_of_the_lines_are_turned(text_angle: Path) -> None:
    with np.load(text_angle / "data" / "evaluation.npz") as archive:
        labels, x = archive["label"], archive["x"]
    assert x.shape == (1000, 3, 48, 192)
    assert x.dtype == np.float32
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)
    assert 450 < labels.sum() < 550
