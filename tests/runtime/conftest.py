"""Bundles of tiny real models, and the runtime as a real process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

INPUT, OUTPUT = "x/in:0", "y.npy"
WEIGHTS = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


def linear(batch: str | int = "N") -> onnx.ModelProto:
    """[batch, 8] float32 times WEIGHTS, under names that no file system would like."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", [INPUT, "w"], [OUTPUT])],
        "linear",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [batch, 8])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture
def samples() -> np.ndarray[Any, Any]:
    """[100, 8] float32"""
    return np.random.default_rng(1).normal(size=(100, 8)).astype(np.float32)


@pytest.fixture
def make_bundle(tmp_path: Path, samples: np.ndarray[Any, Any]) -> Callable[..., Path]:
    def make(batch: str | int = "N", shift: float = 0.0, tolerance: float = 1e-5) -> Path:
        bundle = tmp_path / "bundle"
        bundle.mkdir()
        onnx.save(linear(batch), bundle / "model.onnx")
        golden = {
            f"input/{INPUT}": samples[:5],
            f"output/{OUTPUT}": samples[:5] @ WEIGHTS + np.float32(shift),
            f"tolerance/{OUTPUT}": np.array([tolerance, tolerance]),
        }
        np.savez(bundle / "golden.npz", **golden)
        return bundle

    return make


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        body = {
            "schema": "yardarm.plan/1",
            "scenario": "single-stream",
            "iterations": 50,
            "warmup": 3,
            "threads": 1,
            "batch": 32,
            "inputs": [INPUT],
        } | changes
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(body))
        return file

    return write


@pytest.fixture
def data(tmp_path: Path, samples: np.ndarray[Any, Any]) -> Path:
    np.savez_compressed(tmp_path / "data.npz", **{INPUT: samples})
    return tmp_path / "data.npz"


Outcome = subprocess.CompletedProcess[str]


@pytest.fixture
def runtime() -> Callable[..., Outcome]:
    """Run a verb to its end."""

    def run(*words: str | Path) -> Outcome:
        return subprocess.run(
            [sys.executable, "-m", "yardarm_runtime", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def bench(
    runtime: Callable[..., Outcome], plan: Callable[..., Path], data: Path, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run `bench` into tmp_path/"out"; words are added, keywords change the plan."""

    def run(bundle: Path, *words: str | Path, **changes: Any) -> Outcome:
        files = ["--plan", plan(**changes), "--data", data, "--output", tmp_path / "out"]
        return runtime("bench", "--bundle", bundle, *files, *words)

    return run


def failure(outcome: Outcome) -> str:
    """The error that a verb told, which is all that it said on stderr."""
    assert "Traceback" not in outcome.stderr
    message: str = json.loads(outcome.stderr)["error"]
    return message


@pytest.fixture
def told() -> Callable[[Outcome], str]:
    return failure


@pytest.fixture
def serving() -> Callable[..., contextlib.AbstractContextManager[tuple[Any, int]]]:
    """`serve` on a free loopback port: (process, port); killed at the end if it still lives."""

    @contextlib.contextmanager
    def start(bundle: Path, *words: str | Path) -> Iterator[tuple[Any, int]]:
        command = [sys.executable, "-m", "yardarm_runtime", "serve", "--bundle", str(bundle)]
        with subprocess.Popen(
            [*command, "--port", "0", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "error"},
        ) as process:
            try:
                assert process.stdout is not None
                yield process, json.loads(process.stdout.readline())["listening"]
            finally:
                process.kill()

    return start
