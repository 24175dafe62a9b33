"""A measurement put together from a real run of the runtime on a tiny model."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from yardarm.artifacts import MEDIA_LAYER, MEDIA_OCTETS, Bundle, Descriptor, Facts, Image, Release
from yardarm.digest import of_bytes
from yardarm.measure import run as runs
from yardarm.measure.plan import plan
from yardarm.measure.result import Measured
from yardarm.project import BenchSection, DataSection, ModelSection, Project

SAMPLES = 70


def estimate(value: float) -> dict[str, Any]:
    low, high = max(0.0, value - 0.1), min(1.0, value + 0.1)
    return {"value": value, "low": low, "high": high, "samples": SAMPLES, "method": "wilson"}


MANIFEST = {
    "schema": "yardarm.bundle/1",
    "source": {"file": "model.onnx", "digest": of_bytes(b"source"), "size": 6, "opset": 13},
    "data": {
        "calibration": {"digest": of_bytes(b"calibration"), "samples": 10},
        "evaluation": {"digest": of_bytes(b"evaluation"), "samples": SAMPLES},
    },
    "accuracy": {
        "metric": "top1",
        "output": None,
        "before": estimate(1.0),
        "after": estimate(1.0),
        "drop": estimate(0.0),
    },
    "inputs": [{"name": "x", "dtype": "float32", "shape": [None, 4]}],
}


@pytest.fixture(scope="session")
def measured_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measured, Path]:
    folder = tmp_path_factory.mktemp("run")
    project = Project(
        root=folder,
        model=ModelSection(source="model.onnx"),
        data=DataSection(calibration="c.npz", evaluation="e.npz", batch=16),
        bench=BenchSection(iterations=100, warmup=2),
    )
    (folder / "plan.json").write_text(json.dumps(plan(project, MANIFEST)))
    x = np.random.default_rng(3).normal(size=(SAMPLES, 4)).astype(np.float32)
    _bundle(folder)
    np.savez(folder / "data.npz", x=x)
    subprocess.run(
        [sys.executable, "-m", "yardarm_runtime", "bench", "--bundle", ".", "--plan", "plan.json",
         "--data", "data.npz", "--output", "out"],
        cwd=folder, check=True, timeout=60, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    run = runs.read(folder / "out")
    labels = np.asarray(x.argmax(axis=1))
    return _measured(run, labels, {"y": x}), folder / "out"


def _bundle(folder: Path) -> None:
    """y = x, so that the label is simply the argmax of the input."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx")


def _measured(run: runs.Run, labels: Any, host: Any) -> Measured:
    layer = Descriptor(MEDIA_LAYER, of_bytes(b"layer"), 12_345_678)
    config = Descriptor(MEDIA_OCTETS, of_bytes(b"config"), 10)
    image = Image(of_bytes(b"image"), config, (layer, layer), {"numpy": "2.4.6"})
    bundle = Bundle(of_bytes(b"bundle"), MANIFEST, {})
    return Measured(
        project="demo",
        profile="raspberry-pi-5",
        host="user@board",
        emulated=False,
        facts=Facts(
            "Raspberry Pi 5 Model B Rev 1.0", "aarch64", 64, 4, "0xd0b", ("asimd", "asimddp"),
            8000, "debian 12", "2.36", "3.11.2", "", {"podman": "4.3.1"}, 9000, False,
        ),
        release=Release(of_bytes(b"{}"), b"{}", b"", 7, image, {"model": bundle}),
        bundle=bundle,
        image=image,
        run=run,
        labels=labels,
        host_outputs=host,
        telemetry=[{"seq": 1, "t": 1.0, "values": {"cpu.percent": 3.0}, "collectors": {}}],
        revision=None,
        created=datetime(2026, 11, 22, 23, 30, 5, tzinfo=UTC),
    )  # fmt: skip


@pytest.fixture
def measured(measured_once: tuple[Measured, Path]) -> Measured:
    return measured_once[0]


@pytest.fixture
def with_samples(measured: Measured) -> Callable[[int], Measured]:
    """The same measurement as if `count` inferences of 10 to 19 µs had been timed."""

    def change(count: int) -> Measured:
        durations = 10_000 + 1000 * (np.arange(count, dtype=np.int64) % 10)
        table = np.stack([np.arange(count, dtype=np.int64) * 50_000, durations], axis=1)
        return replace(measured, run=replace(measured.run, samples=table))

    return change


@pytest.fixture
def run_files(measured_once: tuple[Measured, Path], tmp_path: Path) -> Path:
    """A copy of the run's files, to be damaged."""
    folder = tmp_path / "run"
    folder.mkdir()
    for file in measured_once[1].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.fixture
def as_npy() -> Callable[[Any], bytes]:
    return npy
