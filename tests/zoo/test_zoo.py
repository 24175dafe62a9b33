"""Models that plain quantization destroys, and what the default compile makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yardarm.project import Project
from zoo import peer
from zoo.subject import size

MODELS = ("transformer", "recurrent", "spectral", "embedding")
DESTROYED = 0.05  # what plain quantization loses at least
KEPT = 0.01  # what ours may lose
SIZE = 0.35  # of the fp32 model

each = pytest.mark.parametrize("name", MODELS)


@each
def test_plain_quantization_destroys_it(
    zoo: Callable[[str], Project], name: str, tmp_path: Path
) -> None:
    project = zoo(name)
    before = peer.accuracy(project, project.path(project.model.source))
    after = peer.accuracy(project, peer.quantize(project, tmp_path / "plain.onnx"))
    assert 0.88 <= before <= 0.98
    assert before - after >= DESTROYED, f"{name}: {before:.4f} before, {after:.4f} after"


@each
def test_the_default_compile_keeps_it(
    zoo: Callable[[str], Project], name: str, tmp_path: Path, cli: Any
) -> None:
    project, target = zoo(name), tmp_path / "out"
    chosen = ("--project", project.root, "--profile", "raspberry-pi-5")
    cli("compile", *chosen, "--output", target, "--json")
    manifest = json.loads((target / "manifest.json").read_text())
    drop = manifest["accuracy"]["drop"]
    told = f"{name}: drop {drop['value']:.4f} [{drop['low']:.4f}, {drop['high']:.4f}]"
    source = project.path(project.model.source)
    lost = peer.accuracy(project, source) - peer.accuracy(project, target / "model.onnx")
    assert lost == pytest.approx(drop["value"], abs=1e-9), told
    assert drop["value"] <= KEPT, told
    share = (target / "model.onnx").stat().st_size / size(source)
    assert share <= SIZE, f"{told}, {share:.3f} of the size"
