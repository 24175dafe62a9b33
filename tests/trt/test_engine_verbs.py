"""The runtime's verbs as processes that find fakes of TensorRT and CUDA where the real ones
would be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trt import fakes
from yardarm.measure import run as measured
from yardarm_wire.engines import Record

NOTHING = {"device": 0, "host": 0, "streams": 0, "events": 0, "pageable": 0}
Outcome = subprocess.CompletedProcess[str]


class Board:
    """A fake Jetson with a bundle on it."""

    def __init__(self, folder: Path, bundle: Path, device: Path, version: str) -> None:
        self.site = fakes.site(folder / "site", version)
        self.engines = folder / "engines"
        self._words = ["--bundle", str(bundle), "--engines", str(self.engines)]
        self._words += ["--device", str(device)]

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "yardarm_runtime", words[0], *self._words, *words[1:]],
            env={**os.environ, **self.site.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **environment: str) -> tuple[int, list[Any], str]:
        """Code, lines and the error that was told."""
        with self.start(*words, **environment) as process:
            out, err = process.communicate(timeout=60)
        assert "Traceback" not in err, err
        told = json.loads(err)["error"] if process.returncode in (1, 3) else ""
        return process.returncode, [json.loads(line) for line in out.splitlines()], told


@pytest.fixture
def board(
    tmp_path: Path, make_bundle: Callable[..., Path], device: Callable[..., Path]
) -> Callable[..., Board]:
    def make(version: str = "10.3", **changes: Any) -> Board:
        return Board(tmp_path, make_bundle(**changes), device(), version)

    return make


@pytest.fixture
def plan(tmp_path: Path, images: Any) -> list[str]:
    body = {"schema": "yardarm.plan/1", "scenario": "single-stream", "iterations": 20}
    body |= {"warmup": 2, "threads": 1, "batch": 32, "inputs": ["x"]}
    (tmp_path / "plan.json").write_text(json.dumps(body))
    np.savez(tmp_path / "data.npz", x=images)
    files = {"--plan": "plan.json", "--data": "data.npz", "--output": "out"}
    return [word for name, file in files.items() for word in (name, str(tmp_path / file))]


def test_a_bench_builds_its_engine_and_brings_everything_back(
    board: Any, plan: list[str], answers: Any, tmp_path: Path
) -> None:
    orin = board()
    code, lines, told = orin.run("bench", *plan)
    assert code == 0, told
    phases = [line["phase"] for line in lines]
    assert phases[0] == "parsing" and phases[-1] == "accuracy"
    assert "trying the new engine" in phases and "latency" in phases
    brought = measured.read(tmp_path / "out")
    np.testing.assert_allclose(brought.outputs["y"], answers, atol=1e-5)
    device = np.load(tmp_path / "out" / "device_times.npy")
    assert device.dtype == np.int64 and device.shape == (20,) and (device > 0).all()
    assert (device <= brought.samples[:, 1]).all()
    engine, versions = brought.report["engine"], brought.report["versions"]
    assert engine["route"] == "tensorrt" and engine["power_mode"] == "15W"
    assert engine["key"]["sm"] == 87 and engine["built_s"] >= 0 and engine["gpu"] == "Fake Orin"
    assert versions["tensorrt"] == engine["key"]["tensorrt"] == "10.3.0"
    assert "onnxruntime" not in versions and versions["cuda"]
    assert orin.site.left() == NOTHING
    code, lines, told = orin.run("golden")
    assert code == 0 and len(lines) == 1 and lines[0]["ok"], told
    assert orin.site.left() == NOTHING


def test_eight_answers_its_golden_inputs(board: Any) -> None:
    nano = board("8.4", strongly_typed=False, flags=["fp16"])
    code, lines, told = nano.run("golden")
    assert code == 0 and lines[-1]["ok"], told
    assert nano.site.left() == NOTHING


def test_key_and_build_speak_json(board: Any) -> None:
    orin = board()
    code, [before], _ = orin.run("key")
    assert code == 0 and before["present"] is False
    code, lines, _ = orin.run("build")
    assert code == 0 and all(set(line) == {"phase", "done", "total"} for line in lines[:-1])
    record = Record.from_json(lines[-1]["engine"])
    assert record.key.to_json() == before["key"] and lines[-1]["cached"] is False
    assert orin.run("key")[1] == [{**before, "present": True}]
    assert orin.run("golden", FAKE_TENSORRT_FAULT="wrong answers")[0] == 8


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crash while executing", "new engine crashed .*SIGSEGV.* It is not kept"),
        ("killed while building", "build of the engine broke off: killed by SIGKILL.*memory"),
        ("out of memory while building", "the build ran out of memory with a pool of 64 MiB"),
    ],
)
def test_a_crash_is_an_error_message(board: Any, fault: str, message: str) -> None:
    orin = board()
    code, _, told = orin.run("build", FAKE_TENSORRT_FAULT=fault)
    assert code == 3
    assert re.search(message, told), told
    assert not [path for path in orin.engines.iterdir() if path.is_dir()]


def test_two_builds_at_once_build_one_engine(board: Any) -> None:
    orin = board()
    processes = [orin.start("build") for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in processes]
    last = [json.loads(out.splitlines()[-1]) for out, _ in ends]
    assert sorted(item["cached"] for item in last) == [False, True]
    assert last[0]["engine"] == last[1]["engine"]
    assert orin.site.calls().count("Builder.build_serialized_network") == 1


def test_tensorrt_missing_says_how_it_gets_there(board: Any, tmp_path: Path) -> None:
    orin = board()
    (tmp_path / "site" / "packages" / "tensorrt" / "__init__.py").unlink()
    (tmp_path / "site" / "packages" / "tensorrt").rmdir()
    for verb in ("key", "build", "golden"):
        code, _, told = orin.run(verb)
        assert code == 3 and "JetPack base image" in told and "--system-site-packages" in told


def test_a_bundle_for_onnxruntime_needs_no_engine(board: Any, tmp_path: Path) -> None:
    orin = board()
    (tmp_path / "bundle" / "manifest.json").write_text('{"target": "onnxruntime"}')
    assert orin.run("key")[1] == [{"key": None, "present": False}]
    code, _, told = orin.run("build")
    assert code == 3 and "needs no engine" in told
    assert orin.run("golden")[0] == 0 and orin.site.calls() == []
