"""The worker process: it is never silent, doesn't outlive who asked for it, and its end is told."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trt import fakes
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt import child

LONGEST = 20.0


@pytest.fixture
def request_that_waits(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A build whose model is a pipe, at which the worker waits until somebody writes."""
    site = fakes.site(tmp_path / "site", "10.3")
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(tmp_path / "site" / "packages"))
    bundle = make_bundle()
    (bundle / "model.onnx").unlink()
    os.mkfifo(bundle / "model.onnx")
    return {"do": "build", "bundle": str(bundle), "partial": "", "engines": "", "sm": 87}


def reader(pipe: Path) -> int:
    """A descriptor for writing, once somebody reads."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO
            time.sleep(0.01)
    raise AssertionError("nobody reads")


def test_a_worker_that_says_nothing_is_heard_all_the_same(
    request_that_waits: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "HEARTBEAT_S", 0.02)
    pipe = Path(request_that_waits["bundle"]) / "model.onnx"
    enough = threading.Event()
    told: list[tuple[str, int, int]] = []

    def tell(*line: Any) -> None:
        told.append(line)
        if len(told) == 3:
            enough.set()

    def end() -> None:
        enough.wait(LONGEST)
        os.close(reader(pipe))

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(Problem, match="can't parse the model"):
        child.work(request_that_waits, tell, None)
    ending.join(LONGEST)
    assert told[:3] == [("starting", 0, 0)] * 3


def test_a_worker_that_takes_too_long_is_ended(
    request_that_waits: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "HEARTBEAT_S", 0.02)
    with pytest.raises(child.Ended, match="no answer within 0 s"):
        child.work(request_that_waits, lambda *_: None, 0.05)


def test_a_worker_dies_with_its_parent(request_that_waits: dict[str, Any]) -> None:
    code = (
        "import json, sys; from yardarm_runtime.tensorrt import child;"
        "child.work(json.loads(sys.argv[1]), lambda *_: None, None)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, json.dumps(request_that_waits)])
    pipe = reader(Path(request_that_waits["bundle"]) / "model.onnx")
    parent.kill()
    parent.wait(LONGEST)
    with os.fdopen(pipe, "wb", buffering=0) as stream:
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            try:
                stream.write(b"x")
            except BrokenPipeError:
                return
            except BlockingIOError:
                pass
            time.sleep(0.01)
    raise AssertionError("the worker lives on")


@pytest.mark.parametrize(
    ("code", "last", "message"),
    [
        (-11, "", "killed by SIGSEGV"),
        (-9, "", "killed by SIGKILL, as the kernel does when memory runs out"),
        (-64, "a\nb\nc\nlast", "killed by SIGRTMAX (b / c / last)"),
        (1, "ImportError: x", "it ended with code 1 (ImportError: x)"),
    ],
)
def test_how_it_ended_is_said(code: int, last: str, message: str) -> None:
    assert child._how(code, last) == message
