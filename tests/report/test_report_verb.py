"""`yardarm report` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yardarm import report
from yardarm.errors import InvalidInput
from yardarm.report.figures import MISSING

PROJECT = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "yardarm.toml").write_text(PROJECT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def measured(project: Path, make_result: Callable[..., dict[str, Any]]) -> Path:
    """The folder of the newest result; an older one lies beside it."""
    results = project / ".yardarm" / "results"
    for name, emulated in (("2026-01-01", False), ("2026-03-01", True)):
        folder = results / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(make_result(emulated=emulated)))
    (results / "latest").symlink_to("2026-03-01")
    return results / "2026-03-01"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    settings = {k: v for k, v in os.environ.items() if k != "YARDARM_STORE"}
    return subprocess.run(
        [sys.executable, "-m", "yardarm", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=settings,
        check=False,
    )


def test_the_newest_result_is_rendered_beside_itself(project: Path, measured: Path) -> None:
    done = run("report", "--project", str(project))
    assert done.returncode == 0, done.stderr
    assert "EMULATED" in done.stdout
    assert "needs 662 samples" in done.stdout
    assert (measured / "report.html").read_text().startswith("<!doctype html>")
    assert (measured / "report.md").read_text().startswith("# text-angle")
    assert sorted(p.name for p in measured.iterdir()) == ["report.html", "report.md", "result.json"]
    for line in done.stdout.splitlines():
        assert len(line) <= 80 or line.endswith(("report.html", "report.md"))


def test_output_and_json(project: Path, measured: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    done = run("report", "--project", str(project), "--output", str(folder), "--json")
    body = json.loads(done.stdout)
    assert body["html"] == str(folder / "report.html")
    assert body["result"] == str(measured / "result.json")
    assert body["verdict"]["status"] == "EMULATED"
    assert {"figure", "value", "note"} == set(body["summary"][0])
    assert (folder / "report.md").is_file()
    assert not (measured / "report.html").exists()


def test_without_a_result_it_says_what_to_do(project: Path) -> None:
    done = run("report", "--project", str(project))
    assert done.returncode == 3
    assert "yardarm bench" in done.stderr


def test_an_unwritable_folder_is_named(
    tmp_path: Path, make_result: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="can't write the report"):
        report.write(make_result(), tmp_path / "file" / "folder")


def test_the_summary_marks_every_emulated_latency(
    make_result: Callable[..., dict[str, Any]],
) -> None:
    headings, rows = report.summary(make_result())
    assert all(len(row) == len(headings) for row in rows)
    shown = [row for row in rows if row[0].startswith("latency")]
    assert {row[2] for row in shown if row[1] != MISSING} == {"emulated"}
    _, device = report.summary(make_result(emulated=False))
    assert "emulated" not in str(device).lower()


def test_the_summary_is_safe_for_a_terminal(make_result: Callable[..., dict[str, Any]]) -> None:
    result = make_result()
    result["accuracy"]["metric"] = "\x1b[2Jtop\n1\r"
    _, rows = report.summary(result)
    assert not [cell for row in rows for cell in row if set(cell) & set("\x1b\n\r")]
