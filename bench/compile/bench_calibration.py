"""Calibration of the example model on its 256 lines, beside onnxruntime's own calibrators.

Each runs in a process of its own, so that imports are in every figure and peaks are apart.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import cost
from figures import Bar, Hand

RUN = Path(__file__).parent / "calibrators.py"
ROUNDS = 3


@pytest.mark.parametrize("method", ["MinMax", "Entropy"])
def bench_calibration(benchmark: Any, figure: Hand, example: Path, method: str) -> None:
    ours: list[cost.Cost] = []
    peer: list[cost.Cost] = []

    def in_turn() -> None:
        peer.append(cost.of([sys.executable, RUN, method, example]))

    def once() -> None:
        ours.append(cost.of([sys.executable, RUN, "ours", example]))

    benchmark.pedantic(once, setup=in_turn, rounds=ROUNDS)
    name, beside = f"compile/calibrate-{method.lower()}", f"onnxruntime {method}"
    cpu = [min(run.cpu for run in runs) for runs in (ours, peer)]
    peak = [min(run.peak_mb for run in runs) for runs in (ours, peer)]
    figure(f"{name}-cpu", cpu[0], "CPU s", Bar("ratio", 1.0), (beside, cpu[1]))
    figure(f"{name}-peak", peak[0], "MB", Bar("ratio", 1.0), (beside, peak[1]))
