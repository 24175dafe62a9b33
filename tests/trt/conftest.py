"""Bundles for TensorRT, and the runtime's engines in this process with fakes around them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from trt import fakes, small_graphs
from yardarm_runtime.cuda import cudart
from yardarm_runtime.tensorrt import child, worker

SHAPE = (3, 8, 8)
WISHES = {
    "version": "10.3",
    "strongly_typed": True,
    "flags": [],
    "float32": [],
    "profiles": {"x": {"min": [1, *SHAPE], "opt": [2, *SHAPE], "max": [4, *SHAPE]}},
    "workspace_mb": 64,
    "optimization_level": 2,
}


@pytest.fixture
def images() -> np.ndarray[Any, Any]:
    """Samples, [10, 3, 8, 8] float32"""
    return np.random.default_rng(3).normal(size=(10, *SHAPE)).astype(np.float32)


@pytest.fixture
def answers(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What onnxruntime answers to them."""
    session = onnxruntime.InferenceSession(
        small_graphs.convolution(), providers=["CPUExecutionProvider"]
    )
    found: np.ndarray[Any, Any] = session.run(None, {"x": images})[0]
    return found


@pytest.fixture
def make_bundle(
    tmp_path: Path, images: np.ndarray[Any, Any], answers: np.ndarray[Any, Any]
) -> Callable[..., Path]:
    """A convolution for TensorRT; keywords change the manifest's `tensorrt`."""

    def make(**changes: Any) -> Path:
        bundle = tmp_path / "bundle"
        bundle.mkdir(exist_ok=True)
        (bundle / "model.onnx").write_bytes(small_graphs.convolution())
        port = {"dtype": "float32", "shape": [None, *SHAPE]}
        manifest = {
            "target": "tensorrt",
            "options": {"batch": 32},
            "tensorrt": WISHES | changes,
            "inputs": [port | {"name": "x"}],
            "outputs": [port | {"name": "y", "shape": [None, 4, 8, 8]}],
        }
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        tolerance = np.array([1e-5, 1e-5])
        golden = {"input/x": images, "output/y": answers, "tolerance/y": tolerance}
        np.savez(bundle / "golden.npz", **golden)
        return bundle

    return make


@pytest.fixture
def device(tmp_path: Path) -> Callable[..., Path]:
    """The agent's file; keywords change it."""

    def write(**changes: Any) -> Path:
        body = {"module": "NVIDIA Jetson Orin NX", "power_mode": "15W", "l4t": "36.4.0"}
        file = tmp_path / "device.json"
        file.write_text(json.dumps(body | changes))
        return file

    return write


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> fakes.Library:
    return fakes.library(tmp_path_factory.mktemp("cudart"))


@pytest.fixture
def here(
    request: pytest.FixtureRequest, library: fakes.Library, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A fake TensorRT, 10.3 unless a parameter says another, as `tensorrt` in this process, which
    is its own worker."""
    trt = fakes.tensorrt(getattr(request, "param", "10.3"))
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(cudart, "NAMES", (str(library.path),))
    monkeypatch.setattr(fakes.Library, "current", library)

    def work(request: dict[str, Any], progress: Any, _limit: Any) -> dict[str, Any]:
        return worker.WORK[request["do"]](request, progress)

    monkeypatch.setattr(child, "work", work)
    return trt
