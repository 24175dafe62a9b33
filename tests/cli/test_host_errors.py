"""What this machine refuses: a full disk, paths that can't be, folders that can't be written."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest

from conftest import Cli, Ran
from small_models import answers, convolutions, images
from yardarm import __version__

PI = ("--profile", "raspberry-pi-5")
SETTINGS = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "yardarm.toml").write_text(SETTINGS)
    onnx.save(convolutions(), folder / "model.onnx")
    x = images(2, 64)
    labels = answers(convolutions(), x, 32).argmax(axis=1)
    np.savez(folder / "calibration.npz", **{"x:0": images(1, 32)})
    np.savez(folder / "evaluation.npz", **{"x:0": x, "label": labels})
    return folder


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *options, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def told(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran.stderr
    assert "Traceback" not in ran.stderr and "try:" in ran.stderr
    assert all(word in ran.stderr for word in words), ran.stderr
    assert ran.json["error"]["exit_code"] == code


@pytest.mark.root
def test_a_full_disk(project: Path, tmp_path: Path, cli: Cli) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=16k", "tmpfs") as disk:
        ran = cli(
            *("compile", "--project", project, *PI, "--json"),
            env={"YARDARM_STORE": str(disk / "store")},
            code=None,
        )
        told(ran, 1, "No space left", str(disk), "$YARDARM_STORE")
        assert not [path for path in disk.rglob("*") if "partial" in path.name]


@pytest.mark.root
def test_a_project_that_cannot_be_written(project: Path, tmp_path: Path, cli: Cli) -> None:
    options = ("--bind", "-o", "ro", str(project))
    with mounted(tmp_path / "read-only", *options) as folder:
        ran = cli(
            *("compile", "--project", folder, *PI, "--json"),
            env={"YARDARM_STORE": str(tmp_path / "store")},
            code=None,
        )
        told(ran, 3, "Read-only file system", str(folder / ".yardarm"))


@pytest.mark.parametrize("below", ["FILE", "FILE/x", "FILE/x/y"])
def test_compile_into_a_file(below: str, project: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "FILE").write_text("mine")
    output = tmp_path / below
    ran = cli("compile", "--project", project, *PI, "--output", output, "--json", code=None)
    told(ran, 2, str(tmp_path / "FILE"))
    assert "import" not in ran.stderr, "it is told before the work"
    assert (tmp_path / "FILE").read_text() == "mine"


@pytest.mark.parametrize("below", ["out", "FILE/x"])
def test_an_image_where_none_can_be(below: str, project: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "FILE").write_text("mine")
    output = tmp_path / below
    ran = cli("image", "--project", project, *PI, "--output", output, "--json", code=None)
    told(ran, 2, str(tmp_path / below.split("/", maxsplit=1)[0]))
    assert "layer" not in ran.stderr, "it is told before the work"


def test_a_store_that_is_a_file(project: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "store").write_text("mine")
    ran = cli(
        *("compile", "--project", project, *PI, "--json"),
        env={"YARDARM_STORE": str(tmp_path / "store")},
        code=None,
    )
    told(ran, 3, str(tmp_path / "store"))


def test_a_store_elsewhere_leaves_nothing_beside_it(
    project: Path, tmp_path: Path, cli: Cli
) -> None:
    store = tmp_path / "elsewhere" / "store"
    cli("compile", "--project", project, *PI, env={"YARDARM_STORE": str(store)})
    assert [path.name for path in store.parent.iterdir()] == ["store"]
    assert (project / ".yardarm" / "lock").is_file()
    assert (project / ".yardarm" / ".gitignore").read_text() == "*\n"


def test_a_damaged_index(project: Path, cli: Cli) -> None:
    cli("compile", "--project", project, *PI)
    index = project / ".yardarm" / "store" / "index.json"
    index.write_text("{")
    ran = cli("compile", "--project", project, *PI, "--json", code=None)
    told(ran, 3, str(index))


def test_damaged_records_are_made_again(project: Path, cli: Cli) -> None:
    first = cli("compile", "--project", project, *PI, "--json").json
    for file in (project / ".yardarm" / "store" / "steps").iterdir():
        file.write_text("{")
    again = cli("compile", "--project", project, *PI, "--json").json
    assert again["digest"] == first["digest"] and not again["cached"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["calibration", "evaluation"])
def test_data_that_is_no_number(name: str, bad: float, project: Path, cli: Cli) -> None:
    file = project / f"{name}.npz"
    with np.load(file) as archive:
        arrays = dict(archive)
    arrays["x:0"][17, 0, 0, 0] = bad
    np.savez(file, **arrays)
    ran = cli(
        *("compile", "--project", project, *PI, "--output", project / "out", "--json"), code=3
    )
    assert "sample 17" in ran.stderr and str(file) in json.dumps(ran.json)
    assert not (project / "out").exists()
    store = project / ".yardarm" / "store"
    assert not list(store.rglob(".partial-*")) and not (store / "index.json").exists()


def test_the_version(cli: Cli) -> None:
    assert cli("--version").stdout == f"yardarm {__version__}\n"
