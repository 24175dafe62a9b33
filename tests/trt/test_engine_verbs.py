"""The runtime's verbs as processes that find fakes of TensorRT and CUDA where the real ones
would be."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trt import fakes
from yardarm.measure import run as measured
from yardarm_runtime import building
from yardarm_runtime.engines import Place
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


def test_key_and_build_speak_json(board: Any) -> None:
    orin = board()
    code, [before], _ = orin.run("key")
    assert code == 0 and before["present"] is False
    code, lines, _ = orin.run("build")
    assert code == 0 and all(set(line) == {"phase", "done", "total"} for line in lines[:-1])
    record = Record.from_json(lines[-1]["engine"])
    assert record.key.to_json() == before["key"] and lines[-1]["cached"] is False


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crash while executing", "new engine crashed .*SIGSEGV.* It is not kept"),
        ("killed while building", "build of the engine broke off: killed by SIGKILL.*memory"),
    ],
)
def test_a_crash_is_an_error_message(board: Any, fault: str, message: str) -> None:
    orin = board()
    code, _, told = orin.run("build", FAKE_TENSORRT_FAULT=fault)
    assert code == 3
    assert re.search(message, told), told
    assert not [path for path in orin.engines.iterdir() if path.is_dir()]


@pytest.fixture
def built(board: Any, here: Any, tmp_path: Path) -> Board:
    """A board that has the engine: built in this process, which is faster."""
    orin: Board = board()
    place = Place(str(orin.engines), str(tmp_path / "device.json"))
    building.build(str(tmp_path / "bundle"), place, lambda *_: None, False)
    return orin


def test_wrong_answers_are_a_mismatch(built: Board) -> None:
    code, lines, _ = built.run("golden", FAKE_TENSORRT_FAULT="wrong answers")
    assert code == 8 and len(lines) == 1, "the engine that was there is used"


def test_a_service_answers_and_gives_everything_back(
    built: Board, images: Any, answers: Any
) -> None:
    orin, body, got = built, io.BytesIO(), {}
    np.savez(body, x=images[:3])
    with orin.start("serve", "--port", "0") as process:
        try:
            lines = (json.loads(line) for line in process.stdout)
            port = next(line["listening"] for line in lines if "listening" in line)
            for path, data in (("infer", body.getvalue()), ("golden", b"")):
                url = f"http://127.0.0.1:{port}/{path}"
                with urllib.request.urlopen(url, data=data, timeout=30) as reply:
                    got[path] = reply.read()
        finally:
            process.terminate()
        assert process.wait(30) == 0, process.stderr.read()
    with np.load(io.BytesIO(got["infer"])) as outputs:
        np.testing.assert_allclose(outputs["y"], answers[:3], atol=1e-5)
    assert json.loads(got["golden"])["ok"] and orin.site.left() == NOTHING


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
    shutil.rmtree(tmp_path / "site" / "packages" / "tensorrt")
    code, _, told = orin.run("key")
    assert code == 3 and "JetPack base image" in told and "--system-site-packages" in told
