"""A project's own profile, as docs/profiles.md shows it, taken to a device."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from conftest import Cli
from docs_blocks import blocks
from small_models import answers, convolutions, images
from yardarm import lab, profiles

pytestmark = pytest.mark.root

HOST = "lab:own"
SETTINGS = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
[run]
port = 8031
[bench]
iterations = 1000
warmup = 1
"""


@pytest.fixture(scope="module")
def project(lab_folder: Path, tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """One with the documented profile beside it, and a device of the board that it extends."""
    lab.up("own", profiles.load("raspberry-pi-5"))
    folder = tmp_path_factory.mktemp("kiosk-net")
    (folder / "yardarm.toml").write_text(SETTINGS)
    (folder / "device_profiles").mkdir()
    page = repository / "docs" / "profiles.md"
    (text,) = [block.text for block in blocks(page) if "kiosk.toml" in block.text]
    (folder / "device_profiles" / "kiosk.toml").write_text(text)
    onnx.save(convolutions(), folder / "model.onnx")
    x = images(2, 64)
    labels = answers(convolutions(), x, 32).argmax(axis=1)
    np.savez(folder / "calibration.npz", **{"x:0": images(1, 32)})
    np.savez(folder / "evaluation.npz", **{"x:0": x, "label": labels})
    return folder


@pytest.mark.parametrize("verb", [("ship",), ("bench",), ("deploy",), ("deploy", "--dry-run")])
def test_another_board_is_refused_before_any_work(
    verb: tuple[str, ...], project: Path, cli: Cli
) -> None:
    wrong = ("--profile", "raspberry-pi-zero-2w", "--project", project, "--json")
    ran = cli(verb[0], HOST, *verb[1:], *wrong, code=7)
    assert "raspberry-pi-zero-2w" in ran.stderr and "--profile raspberry-pi-5" in ran.stderr
    assert "import the model" not in ran.stderr and "layer" not in ran.stderr


def test_a_dry_run_makes_no_key_and_sends_nothing(project: Path, tmp_path: Path, cli: Cli) -> None:
    ran = cli(
        *("deploy", HOST, "--dry-run", "--project", project, "--json"),
        env={"XDG_CONFIG_HOME": str(tmp_path / "config")},
    )
    assert ran.json["release"] is None and ran.json["bytes"] > 1e6
    assert not (tmp_path / "config").exists()
    trusted = cli("lab", "ssh", "own", "--", "ls", "/var/lib/yardarm").stdout
    assert "device.json" not in trusted


SHIP = ("ship", HOST, "--profile", "kiosk", "--json", "--project")


def test_the_documented_profile_is_shipped(project: Path, cli: Cli) -> None:
    own = cli(*SHIP, project)
    assert own.json["deployed"]["changed"] and own.json["result"]["profile"] == "kiosk"
    assert "100 of 1,000 asked: virtual device" in " ".join(own.stderr.split()).replace(
        "inferences timed of", "of"
    )
    assert "send inputs" in own.stderr
    said = cli("lab", "ssh", "own", "--", "cat", "/var/lib/yardarm/device.json").stdout
    assert json.loads(said) == {"class": "raspberry-pi-5"}, "others may work on it, too"
    assert not list((project / ".yardarm").glob("run*"))


def test_a_damaged_result_is_measured_again(project: Path, cli: Cli) -> None:
    """That of the test before: emulation takes its time for each measurement."""
    latest = project / ".yardarm" / "results" / "latest"
    (latest.resolve() / "result.json").write_text('{"schema": "yardarm.result/0"}')
    again = cli(*SHIP, project)
    assert again.json["result"]["schema"] == "yardarm.result/1"
    assert Path(again.json["folder"]) == latest.resolve()


def test_the_boards_own_profile_is_another_release(project: Path, cli: Cli) -> None:
    assert cli("deploy", HOST, "--project", project, "--json").json["changed"]
