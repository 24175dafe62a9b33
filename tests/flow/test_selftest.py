"""A selftest: inside the release that runs on a device, or with the device's own python3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from yardarm.artifacts import EMULATED
from yardarm.cli.verbs.bench import _page
from yardarm.errors import Refused, VerificationFailed
from yardarm.flow import selftest
from yardarm.process import Completed

FACTS = {"module": "a board", "power_mode": "15W", "l4t": "", "jetson_clocks": None}


class Here:
    """A connection to this machine, where `python3` is what a script says."""

    address = SimpleNamespace(name="root@here")

    def __init__(self, folder: Path, python: str) -> None:
        (folder / "python3").write_text(f"#!/bin/sh\n{python}\n")
        (folder / "python3").chmod(0o755)
        self._path = f"{folder}:/usr/bin:/bin"

    def run(self, command: str, *, timeout: float, stdin: bytes) -> Completed:
        done = subprocess.run(
            ["sh", "-c", command],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={"PATH": self._path, "OMP_NUM_THREADS": "1", "TMPDIR": str(Path.cwd())},
        )
        return Completed(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The report of this machine, by a python3."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(python: str) -> dict[str, Any]:
        try:
            return selftest._lent(cast(Any, Here(tmp_path, python)), FACTS)
        finally:
            assert list((tmp_path / "work").iterdir()) == [], "nothing is left on the device"

    return run


def test_the_runtime_is_lent_to_a_device_without_a_release(lent: Any) -> None:
    report = lent(f'exec {sys.executable} "$@"')
    assert report["ok"] is True and "onnxruntime" in report["routes"]
    assert report["verified"]["module"] == "a board", "the agent told it"
    assert report["verified"]["power_mode"] == "15W"


def test_a_python_without_numpy_is_said(lent: Any) -> None:
    with pytest.raises(Refused, match="python3 has no numpy") as refused:
        lent(f'exec {sys.executable} -S "$@"')
    assert "yardarm deploy root@here" in refused.value.hint
    assert "python3-numpy" in refused.value.hint


def test_a_runtime_that_breaks_says_its_last_words(lent: Any) -> None:
    broken = (
        f'case "$*" in *selftest*) echo no such CPU >&2; exit 4; esac; exec {sys.executable} "$@"'
    )
    with pytest.raises(VerificationFailed, match="failed with code 4") as failed:
        lent(f'{broken}; exec {sys.executable} "$@"')
    assert failed.value.hint == "no such CPU"


def test_a_page_tells_what_failed_and_what_is_not_there() -> None:
    steps = [
        {"name": "machine", "ok": True, "detail": "aarch64", "seconds": 0.0},
        {"name": "TensorRT", "ok": None, "detail": "no such module", "seconds": 0.0},
        {"name": "tensorrt, int8", "ok": False, "detail": "the answer is wrong", "seconds": 3.25},
    ]
    report = {"ok": False, "routes": [], "steps": steps}
    page = _page(selftest.Tested("pi", "p", "release 0123", True, report))
    assert "not there" in page and "FAILED" in page and "3.2 s" in page
    assert "routes on pi, inside release 0123: none" in page
    assert page.splitlines()[-2:] == ["failed: tensorrt, int8", EMULATED]
