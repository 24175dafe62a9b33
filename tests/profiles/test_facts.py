"""Facts: the script runs in real shells; the parser and the matching read files of cases.

A new case is a pair of files in `facts/`: what the script printed, and what it means.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm import facts, matching, profiles
from yardarm.artifacts import Facts
from yardarm.errors import Refused

CASES = sorted((Path(__file__).parent / "facts").glob("*.txt"))
ALL = [profiles.load(name) for name in profiles.names()]
SHELLS = [["dash"], ["bash", "--posix"], ["busybox", "sh"]]


def case(name: str) -> Facts:
    return facts.parse((Path(__file__).parent / "facts" / f"{name}.txt").read_text())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case_is_parsed_and_matched(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(("# hand-written from documentation", "# recorded"))
    expected = json.loads(path.with_suffix(".json").read_text())
    got = facts.parse(text)
    assert json.loads(json.dumps(dataclasses.asdict(got))) == expected["facts"]
    assert facts.complete(text)
    if "refused" in expected:
        with pytest.raises(Refused, match=expected["refused"]):
            matching.match(got, ALL)
    else:
        assert matching.match(got, ALL).name == expected["profile"]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_script_runs_in_posix_shells(shell: list[str]) -> None:
    if not shutil.which(shell[0]):
        assert not os.environ.get("CI"), f"CI skips nothing, but {shell[0]} is not installed"
        pytest.skip(f"{shell[0]} is not installed")
    done = subprocess.run(
        [*shell, "-s"], input=facts.SCRIPT.encode(), capture_output=True, timeout=30, check=True
    )
    assert done.stderr == b""
    got = facts.parse(done.stdout.decode())
    assert facts.complete(done.stdout.decode())
    assert got.machine == platform.machine()
    assert got.userland_bits == 64
    assert got.cores == os.sysconf("SC_NPROCESSORS_ONLN")
    assert got.memory_mb == round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6)
    assert got.glibc == platform.libc_ver()[1]
    assert got.free_disk_mb > 0


def test_script_needs_hardly_a_tool(tmp_path: Path) -> None:
    """Without python3, getconf and ldd the rest is still told, by fallbacks."""
    for tool in ("cat", "uname", "grep", "sed", "head", "tail", "df", "od"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "/nowhere")
    done = subprocess.run(
        [shutil.which("dash") or "/bin/sh", "-s"],
        input=facts.SCRIPT.encode(),
        capture_output=True,
        timeout=30,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    got = facts.parse(done.stdout.decode())
    assert (got.python, got.engines, got.userland_bits) == ("", {}, 64)
    assert got.machine == platform.machine()


TOOLS = {
    "dpkg-query": """
case "$*" in
  *" nvidia-l4t-core") echo 36.4.3-20250107174145 ;;
  *) printf 'ii  libnvinfer10 10.3.0.30-1+cuda12.5\\nun  libnvinfer8 \\n' ;;
esac""",
    "nvpmodel": """
case "$*" in
  -q) printf 'NV Power Mode: 25W\\n1\\n'; echo 'NVPM ERROR: x' >&2; exit 1 ;;
  "-p --verbose") echo 'NVPM VERB: POWER_MODEL: ID=1 NAME=25W' >&2 ;;
esac""",
    "jetson_clocks": "echo 'cpu0: MinFreq=7 MaxFreq=7'; echo 'GPU MinFreq=7 MaxFreq=7'",
    "docker": """
case "$1" in
  --version) echo Docker version 27.5.1, build 1 ;;
  info) echo '{"nvidia":{"path":"x"},"runc":{"path":"runc"}}' ;;
esac""",
    "python3": """
case "$1" in
  --version) echo Python 3.10.12 ;;
  *) echo 10.3.0 ;;
esac""",
}
"""Tools of a Jetson, which answer what Jetsons answer, their warnings and exit codes included."""


def test_script_asks_a_jetson_for_its_accelerators(tmp_path: Path) -> None:
    for name, text in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [shutil.which("dash") or "/bin/sh", "-s"],
        input=facts.SCRIPT.encode(),
        capture_output=True,
        timeout=30,
        check=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.stderr == b""
    got = facts.parse(done.stdout.decode())
    assert (got.jetpack, got.engines["docker"]) == ("36.4.3", "27.5.1")
    assert got.jetson is not None
    assert (got.jetson.tensorrt, got.jetson.python_tensorrt) == ("10.3.0.30", "10.3.0")
    assert (got.jetson.power_mode, got.jetson.power_modes) == ("25W", {"25W": 1})
    assert (got.jetson.clocks_pinned, got.jetson.nvidia["docker"]) == (True, True)
    assert (got.jetson.dla, got.jetson.dla_compiler) == (0, False)


def test_other_devices_are_not_asked_for_accelerators() -> None:
    done = subprocess.run(
        ["/bin/sh", "-s"], input=facts.SCRIPT.encode(), capture_output=True, timeout=30, check=True
    )
    assert b"@@ packages" not in done.stdout
    assert facts.parse(done.stdout.decode()).jetson is None


def test_output_that_broke_off_is_noticed() -> None:
    whole = CASES[0].read_text()
    assert not facts.complete(whole[: len(whole) // 2])


def test_device_tree_strings_end_with_a_nul() -> None:
    assert (
        facts.parse("@@ model\nRaspberry Pi 5\0\n@@ machine\naarch64\n").model == "Raspberry Pi 5"
    )


@given(st.text())
def test_parser_takes_anything(text: str) -> None:
    facts.parse(text)
    facts.parse("\n".join(f"@@ {name}\n{text}" for name in ("bits", "l4t", "disk", "lab", "os")))
    names = ("packages", "mode", "modes", "clocks", "dla", "runtimes", "cdi")
    facts.parse("@@ l4t\n36.4\n" + "\n".join(f"@@ {name}\n{text}" for name in names))


@pytest.mark.parametrize(
    ("model", "memory_mb", "name"),
    [
        ("NVIDIA Jetson Orin Nano Developer Kit", 3_500, "jetson-orin-nano-4gb"),
        ("NVIDIA Jetson Orin Nano Developer Kit", 7_990, "jetson-orin-nano-8gb"),
        ("NVIDIA Orin NX Developer Kit", 8_100, "jetson-orin-nx-8gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 32_000, "jetson-agx-orin-32gb"),
        ("Jetson AGX Orin", 65_900, "jetson-agx-orin-64gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 99_000, "jetson-agx-orin-64gb"),
        ("NVIDIA Jetson AGX Thor Developer Kit", 131_000, "jetson-agx-thor"),
        ("NVIDIA Jetson Xavier NX Developer Kit", 8_000, "jetson-xavier-nx"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", 960, "raspberry-pi-3b-plus"),
        ("Raspberry Pi Compute Module 4 Rev 1.1", 1_900, "raspberry-pi-4b"),
        ("Raspberry Pi 400 Rev 1.0", 3_900, "raspberry-pi-4b"),
    ],
)
def test_model_and_memory_choose_the_profile(model: str, memory_mb: int, name: str) -> None:
    device = dataclasses.replace(case("pi-5"), model=model, memory_mb=memory_mb)
    assert matching.match(device, ALL).name == name


def test_unknown_device_is_told_what_was_seen_and_what_is_near() -> None:
    device = dataclasses.replace(case("pi-5"), model="Raspberry Pi 7 Model B Rev 1.0")
    with pytest.raises(Refused) as refused:
        matching.match(device, ALL)
    assert "Raspberry Pi 7 Model B" in refused.value.what
    assert "0xd0b" in refused.value.what
    assert "raspberry-pi-5" in refused.value.hint
    assert refused.value.exit_code == 7


def test_refusal_of_32_bits_names_the_way_out() -> None:
    with pytest.raises(Refused) as refused:
        matching.match(case("pi-4-32-bit-userland"), ALL)
    assert "64-bit" in refused.value.hint
    assert refused.value.exit_code == 7


@pytest.mark.parametrize(
    ("jetpack", "tensorrt"),
    [("36.4.4", "10.3"), ("35.4.1", "8.5.2"), ("39.2.0", "10.16.2"), ("36.40.1", None), ("", None)],
)
def test_release_follows_the_l4t(jetpack: str, tensorrt: str | None) -> None:
    device = dataclasses.replace(case("orin-nx-16-jetpack-6"), jetpack=jetpack)
    found = matching.release(device, profiles.load("jetson-orin-nx-16gb"))
    assert (found.tensorrt if found else None) == tensorrt


@pytest.mark.parametrize(
    ("l4t", "near"),
    [("36.6.0", "6.1 to 6.2.2"), ("37.0.0", "6.1 to 6.2.2"), ("40.1.0", "7.2"), ("", None)],
)
def test_unknown_l4t_is_told_the_nearest(l4t: str, near: str | None) -> None:
    device = dataclasses.replace(case("orin-nx-16-jetpack-6"), jetpack=l4t)
    found = matching.nearest(device, profiles.load("jetson-orin-nx-16gb"))
    assert (found.jetpack if found else None) == near


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"nvidia":{"path":"x"}}', True),
        ('{"runc":{}}', False),
        ('null\n{"default-runtime": "nvidia", "runtimes": {"nvidia" : {}}}', True),
        ('null\n{"log-driver": "nvidia"}', False),
        ("null", None),
        ("", None),
    ],
)
def test_runtime_of_docker(text: str, expected: bool | None) -> None:
    said = f"@@ l4t\n36.4\n@@ docker\nDocker version 27.5.1\n@@ runtimes\n{text}\n"
    found = facts.parse(said).jetson
    assert found
    assert found.nvidia == {"docker": expected}
