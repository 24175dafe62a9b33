"""The real agent and the real runtime, on a fake TensorRT and a fake CUDA: a release comes to
its engine, answers, serves and is measured by it. Nothing here runs on a GPU."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from agent_rig import SOURCE, Device, digest_of, power_mode, stop, tool
from trt import fakes, small_graphs
from yardarm import signing
from yardarm_agent.layout import Layout

OUTSIDE = Path(__file__).with_name("outside.py")
PLAN = {
    "schema": "yardarm.plan/1", "scenario": "single-stream", "iterations": 5, "warmup": 1,
    "threads": 1, "batch": 1, "inputs": ["x"],
}  # fmt: skip
SHAPE = [1, 3, 8, 8]


@pytest.fixture
def device(layout: Layout, session: Callable[..., Any], tmp_path: Path) -> Iterator[Device]:
    site = fakes.site(tmp_path / "fakes", "10.3")
    path = f"{site.environment['PYTHONPATH']}:{SOURCE}"
    environment = {**site.environment, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    (tmp_path / "fakes.json").write_text(json.dumps(environment))
    folder = tmp_path / "bin"
    folder.mkdir()
    fakes_file = f"YARDARM_FAKES={tmp_path}/fakes.json"
    tool(folder / "unshare", f'{fakes_file} exec {sys.executable} {OUTSIDE} "$@"')
    tool(folder / "nvpmodel", f"cat {folder}/power-mode")
    power_mode(folder, "15W")
    key, _new = signing.load_or_make(tmp_path / "key")
    yield Device(layout, key, lambda: session(path=str(folder)))
    stop(layout)


def archive(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def bundle() -> dict[str, bytes]:
    model = small_graphs.convolution()
    x = np.random.default_rng(1).normal(size=(2, *SHAPE[1:])).astype(np.float32)
    (y,) = onnxruntime.InferenceSession(model).run(None, {"x": x})
    manifest = {
        "target": "tensorrt",
        "options": {"batch": 1},
        "tensorrt": {
            "version": "10.3", "strongly_typed": True, "flags": [], "float32": [],
            "profiles": {"x": {"min": SHAPE, "opt": SHAPE, "max": [4, *SHAPE[1:]]}},
            "workspace_mb": 64, "optimization_level": 3,
        },
    }  # fmt: skip
    golden = {"input/x": x, "output/y": y, "tolerance/y": np.array([1e-4, 1e-4])}
    return {
        "model.onnx": model,
        "manifest.json": json.dumps(manifest).encode(),
        "golden.npz": archive(**golden),
    }


def followed(device: Device, op: str, **fields: Any) -> tuple[dict[str, Any], int]:
    """The reply, and how often progress was told before it."""
    device.pipes.send({"op": op, **fields})
    told = 0
    while "progress" in (reply := device.pipes.receive().header):
        told += 1
    return reply, told


def test_a_release_comes_to_its_engine_and_is_measured_by_it(device: Device) -> None:
    prepared = device.prepare("runtime", files=bundle(), deadline=60)
    assert prepared["golden"] is None, prepared
    release = prepared["digest"]
    state = device.pipes.ask("engine_key", digest=release).header
    assert state["present"] is False
    key = state["key"]
    assert key["tensorrt"].startswith("10.3") and key["sm"] == 87 and key["power_mode"] == "15W"
    assert key["model"] == digest_of(bundle()["model.onnx"])
    built, told = followed(device, "build_engine", digest=release)
    assert built["engine"]["key"] == key and built["cached"] is False and told > 0, built
    again = device.prepare_again()
    assert again["golden"]["ok"] and set(again["golden"]["outputs"]) == {"y"}
    assert device.pipes.ask("activate", digest=release).header["changed"]

    data = device.put(archive(x=np.ones((3, *SHAPE[1:]), np.float32)))
    measured, told = followed(device, "bench", plan=PLAN, data=data)
    assert measured["release"] == release and told > 0
    size = measured["files"]["result.json"]
    body = json.loads(device.pipes.ask("read", name="result.json", offset=0, size=size).payload)
    assert body["plan"] == PLAN and "15W" in json.dumps(body), "with the power mode"

    power_mode(Path(device.layout.root).parent / "bin", "MAXN")
    error = followed(device, "bench", plan=PLAN, data=data)[0]["error"]
    assert "power mode: built in 15W, this device is in MAXN" in error["what"]


def test_a_device_without_tensorrt_says_how_it_gets_there(device: Device, tmp_path: Path) -> None:
    environment = json.loads((tmp_path / "fakes.json").read_text())
    (tmp_path / "fakes.json").write_text(json.dumps({**environment, "PYTHONPATH": str(SOURCE)}))
    error = device.prepare("runtime", files=bundle())["error"]
    assert error["kind"] == "VerificationFailed" and "TensorRT" in error["hint"]
    assert "JetPack" in error["hint"]
