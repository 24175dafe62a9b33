"""The verbs init, profiles, doctor and detect, run as a user does."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sshd
from yardarm import facts, profiles, project, remote
from yardarm.artifacts import Address
from yardarm.errors import Unreachable
from yardarm.flow import detect

Cli = Callable[..., Any]


def test_init_writes_a_project_that_loads(cli: Cli, tmp_path: Path) -> None:
    done = cli("init", "new/project", "--json").json
    assert project.load(tmp_path / "new/project").name == "project"
    assert done == {
        "file": "new/project/yardarm.toml",
        "set": ["model.source", "data.calibration", "data.evaluation"],
    }


def test_init_never_touches_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "yardarm.toml").write_text("mine")
    refused = cli("init", code=2)
    assert "not touched" in refused.stderr
    assert (tmp_path / "yardarm.toml").read_text() == "mine"
    assert cli("init", "yardarm.toml", code=2).stderr
    assert cli("init", "--json", code=2).json["error"]["kind"] == "UsageError"


def test_profiles_lists_all_within_80_columns(cli: Cli) -> None:
    shown = cli("profiles").stdout
    assert all(name in shown for name in profiles.names())
    assert max(map(len, shown.splitlines())) <= 80
    listed = cli("profiles", "--json").json
    assert [item["name"] for item in listed] == profiles.names()


@pytest.mark.parametrize("name", ["raspberry-pi-4b", "jetson-agx-thor"])
def test_profiles_show_prints_toml_of_the_whole_profile(cli: Cli, name: str) -> None:
    text, body = cli("profiles", "show", name).stdout, cli("profiles", "show", name, "--json").json
    assert tomllib.loads(text) == body | {"source": " ".join(body["source"].split())}
    assert profiles.Profile.model_validate(body) == profiles.load(name)


def test_profiles_show_counts_those_beside_the_project(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "device_profiles").mkdir()
    (tmp_path / "device_profiles/mine.toml").write_text('extends = "raspberry-pi-5"')
    assert cli("profiles", "show", "mine", "--json").json["name"] == "mine"
    (tmp_path / "device_profiles/mine.toml").write_text("[cpu]\nspeed = 1")
    assert "cpu.speed: unknown key" in cli("profiles", "show", "mine", code=3).stderr


def test_a_part_of_a_name_is_enough_for_a_hint(cli: Cli) -> None:
    assert "jetson-orin-nano-4gb?" in cli("profiles", "show", "orin", code=3).stderr


def test_profiles_show_of_an_unsupported_device(cli: Cli) -> None:
    error = cli("profiles", "show", "jetson-nano", "--json", code=10).json["error"]
    assert "JetPack 4" in error["what"]


def test_doctor_tells_what_is_there(cli: Cli) -> None:
    done = cli("doctor", "--json", code=None)
    body = done.json
    assert done.code == (0 if body["healthy"] else 1)
    found = {check["name"]: check for check in body["checks"]}
    assert found["python"]["ok"]
    assert found["uv"]["ok"]
    assert all(check["mend"] for check in body["checks"] if not check["ok"])


def test_doctor_without_tools_says_how_to_mend_it(cli: Cli, tmp_path: Path) -> None:
    done = cli("doctor", env={"PATH": str(tmp_path)}, code=1)
    assert "mmdebstrap" in done.stdout
    assert "Debian" in done.stdout


@pytest.fixture
def this_machine(tmp_path: Path) -> Iterator[Address]:
    with sshd.serving(tmp_path) as address:
        yield address


def test_facts_are_asked_over_ssh(this_machine: Address) -> None:
    with remote.connect(this_machine) as connection:
        found = detect.ask(connection)
    assert found.userland_bits == 64
    assert found.free_disk_mb > 0


def test_answer_that_breaks_off_is_an_error(
    this_machine: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "SCRIPT", facts.SCRIPT.replace("section end", "exit 9"))
    with (
        remote.connect(this_machine) as connection,
        pytest.raises(Unreachable, match="exit code 9"),
    ):
        detect.ask(connection)


def test_detect_of_an_unreachable_host(cli: Cli) -> None:
    error = cli("detect", "user@127.0.0.1:1", "--json", code=6).json["error"]
    assert error["kind"] == "Unreachable"
