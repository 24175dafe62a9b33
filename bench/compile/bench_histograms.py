"""Calibration of networks of known classes, beside plain inference over the same images and
beside onnxruntime's calibrators.

Ratios to inference compare the work itself, without imports; ratios to peers compare whole
processes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import cost
from figures import Bar, Hand

RUN = Path(__file__).parent / "streams.py"
NETWORKS = Path(__file__).parent / "networks.py"
ROUNDS = 3
TO_INFERENCE = {"mobilenet": 4.0, "resnet": 2.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("networks")
    # In a process of its own: what a child's parent held counts as the child's peak.
    subprocess.run([sys.executable, NETWORKS, made], check=True, timeout=300)
    return made


def command(folder: Path, way: str, name: str, images: int) -> list[str | Path]:
    model, data = folder / f"{name}.onnx", folder / f"{images}.npz"
    return [sys.executable, RUN, way, model, data, folder / "report.json"]


def seconds(folder: Path, way: str, name: str) -> float:
    cost.of(command(folder, way, name, 64))
    taken: float = json.loads((folder / "report.json").read_text())["cpu"]
    return taken


@pytest.mark.parametrize("name", TO_INFERENCE)
def bench_beside_inference(figure: Hand, folder: Path, name: str) -> None:
    taken = [(seconds(folder, "ours", name), seconds(folder, "plain", name)) for _ in range(ROUNDS)]
    ours, plain = (min(column) for column in zip(*taken, strict=True))
    bar = Bar("ratio", TO_INFERENCE[name])
    figure(f"compile/{name}-64-cpu", ours, "CPU s", bar, ("plain inference", plain))


@pytest.mark.parametrize("method", ["Entropy", "Percentile"])
def bench_beside_calibrators(figure: Hand, folder: Path, method: str) -> None:
    """Once: the peer is far behind, and fills 4 GB."""
    ours, peer = (cost.of(command(folder, way, "mobilenet", 64)) for way in ("ours", method))
    name, beside = f"compile/mobilenet-64-{method.lower()}", f"onnxruntime {method}"
    figure(f"{name}-cpu", ours.cpu, "CPU s", Bar("ratio", 1 / 4), (beside, peer.cpu))
    figure(f"{name}-peak", ours.peak_mb, "MB", Bar("ratio", 1 / 15), (beside, peer.peak_mb))


def bench_memory_over_samples(figure: Hand, folder: Path) -> None:
    few, many = (
        cost.anonymous_peak(command(folder, "ours", "mobilenet", images)) for images in (64, 512)
    )
    figure("compile/mobilenet-512-anonymous", many, "MB", Bar("ratio", 1.1), ("64 images", few))
