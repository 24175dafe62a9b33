"""Signals at many moments: the word for them, the exit code, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from conftest import PROGRAM
from small_models import convolutions, images
from yardarm.store import exclusive

SETTINGS = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
batch = 1
"""
ENDINGS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 129, "hung up"),
]


@pytest.fixture
def project(slow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The slow project with nothing done yet."""
    monkeypatch.setenv("YARDARM_STORE", str(tmp_path / "store"))
    return slow


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that takes seconds to compile."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "yardarm.toml").write_text(SETTINGS)
    onnx.save(convolutions(), folder / "model.onnx")
    np.savez(folder / "calibration.npz", **{"x:0": images(1, 12000)})
    labels = np.zeros(12000, np.int64)
    np.savez(folder / "evaluation.npz", **{"x:0": images(2, 12000), "label": labels})
    return folder


def start(*arguments: str | Path, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings},
        start_new_session=True,
    )


def calibrating(project: Path) -> subprocess.Popen[str]:
    """A compile that has read its model and is at its data."""
    running = start("compile", "--project", project, "--profile", "raspberry-pi-5")
    assert running.stderr is not None and running.stderr.readline().startswith("import")
    return running


def ended(running: subprocess.Popen[str]) -> str:
    try:
        return running.communicate(timeout=30)[1]
    finally:
        running.kill()


def free(project: Path) -> None:
    """Nothing half-written, and the lock is nobody's."""
    kept = [*project.rglob("*"), *Path(os.environ["YARDARM_STORE"]).rglob("*")]
    assert not [path for path in kept if "partial" in path.name]
    with exclusive(project / ".yardarm" / "lock", "test"):
        pass


@pytest.mark.parametrize(("number", "code", "word"), ENDINGS, ids=str)
def test_each_signal_has_its_word(project: Path, number: int, code: int, word: str) -> None:
    running = calibrating(project)
    os.kill(running.pid, number)
    said = ended(running)
    assert (running.returncode, said.splitlines()[-1]) == (code, word)
    assert "Traceback" not in said and "rror" not in said
    free(project)


@pytest.mark.parametrize("seconds", [0.15, 0.3, 0.5, 0.7, 0.9, 1.1, 1.4])
def test_an_interrupt_while_modules_load(project: Path, seconds: float) -> None:
    running = start("compile", "--project", project, "--profile", "raspberry-pi-5")
    time.sleep(seconds)
    os.kill(running.pid, signal.SIGINT)
    said = ended(running)
    assert (running.returncode, said.splitlines()[-1]) == (130, "interrupted"), said
    assert "Traceback" not in said
    free(project)


def test_a_second_interrupt_ends_it_too(project: Path) -> None:
    running = calibrating(project)
    for _ in range(5):
        if running.poll() is None:
            os.kill(running.pid, signal.SIGINT)
        time.sleep(0.01)
    ended(running)
    assert running.returncode in (130, -signal.SIGINT)


def test_an_ignored_signal_stays_ignored(project: Path) -> None:
    """`nohup yardarm …`, and jobs that a script put into the background."""
    running = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", PROGRAM, "profiles"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.3)
    os.kill(running.pid, signal.SIGHUP)
    os.kill(running.pid, signal.SIGINT)
    printed, said = running.communicate(timeout=30)
    assert running.returncode == 0 and "raspberry-pi-5" in printed, said


@pytest.mark.root
@pytest.mark.parametrize("step", [None, "unpack Debian"])
def test_an_interrupt_while_an_image_is_made(
    project: Path, tmp_path: Path, step: str | None
) -> None:
    cache = tmp_path / "cache"
    running = start(
        *("image", "--project", project, "--profile", "raspberry-pi-5"), XDG_CACHE_HOME=str(cache)
    )
    assert running.stderr is not None
    if step is None:
        wait_for(lambda: any(path.is_file() for path in cache.rglob("*")))
    else:
        assert any(line.startswith(step) for line in running.stderr)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does it
    said = ended(running)
    assert (running.returncode, said.splitlines()[-1]) == (130, "interrupted"), said
    free(project)
    assert not list(cache.rglob(".partial*"))


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


LOADS = """
import os, signal, sys
from importlib.machinery import ExtensionFileLoader
from yardarm.cli import signals

class Slow(ExtensionFileLoader):
    def exec_module(self, module):
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        signal.sigtimedwait([], 0.1)
        print("loaded", flush=True)

signals.install()
try:
    Slow("name", "path").exec_module(None)
    signal.pause()
except signals.Stopped:
    print("stopped")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_extension_module_is_loaded_to_its_end(name: str) -> None:
    """C++ that initialises a module may end the process when an exception comes out of it."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADS, name], check=False, capture_output=True, text=True, timeout=30
    )
    assert ran.stdout.split() == ["loaded", "stopped"], ran.stderr
