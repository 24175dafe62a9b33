"""What Jetsons print is read; the cases are files in `jetson/`, their origins in its index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm_wire import jetson

FOLDER = Path(__file__).parent / "jetson"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def read(case: dict[str, Any]) -> Any:
    said = text(case["file"])
    if case["reader"] == "versions":
        installed = jetson.packages(said)
        parts = (jetson.tensorrt, jetson.cuda, jetson.cudnn, jetson.jetpack)
        return {part.__name__: part(installed) for part in parts}
    if "modes" in case:
        return jetson.power_mode(said, jetson.power_modes(text(case["modes"])))
    return getattr(jetson, case["reader"])(said)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
def test_case_is_read(case: dict[str, Any]) -> None:
    assert json.loads(json.dumps(read(case))) == case["expected"]


def test_every_case_tells_its_origin() -> None:
    assert {case["file"] for case in CASES} == {file.name for file in FOLDER.glob("*.txt")}
    for case in CASES:
        assert case["origin"].startswith(("recorded: ", "hand-written from documentation: "))


@pytest.mark.parametrize("reader", ["l4t", "power_mode", "power_modes", "clocks_pinned"])
@pytest.mark.parametrize("jetpack", ["jetpack-5", "jetpack-6", "jetpack-7"])
def test_every_reader_has_a_case_of_every_jetpack(reader: str, jetpack: str) -> None:
    assert [case for case in CASES if case["reader"] == reader and jetpack in case["file"]]


def test_one_moving_clock_is_enough() -> None:
    pinned = text("clocks-jetpack-7-agx-thor-pinned.txt")
    assert jetson.clocks_pinned(pinned.replace("MinFreq=1575000000", "MinFreq=318000000")) is False
    assert jetson.clocks_pinned(pinned.replace("MinFreq=2601000", "MinFreq=729600", 1)) is False


def test_cores_that_are_off_do_not_count() -> None:
    lines = "cpu0: Online=1 MinFreq=5 MaxFreq=5\ncpu1: Online=0 MinFreq=1 MaxFreq=5\n"
    assert jetson.clocks_pinned(lines + "GPU MinFreq=3 MaxFreq=3\n") is True


def test_clocks_of_cores_alone_do_not_tell() -> None:
    assert jetson.clocks_pinned("cpu0: MinFreq=5 MaxFreq=5\n") is None


def test_commented_modes_are_no_modes() -> None:
    conf = "# < POWER_MODEL ID=0 NAME=OLD >\n< POWER_MODEL ID=3 NAME=MAXN >\n"
    assert jetson.power_modes(conf) == ((3, "MAXN"),)


def test_newest_of_several_is_told() -> None:
    installed = {"cuda-cudart-11-4": "1", "cuda-cudart-12-6": "1", "cuda-cudart-12-10": "1"}
    assert jetson.cuda(installed) == "12.10"
    assert jetson.tensorrt({"libnvinfer8": "8.6.2", "libnvinfer10": "10.3.0-1"}) == "10.3.0"


def test_what_is_not_installed_does_not_count() -> None:
    lines = "un  libnvinfer7 <none>\nrc  libnvinfer8 8.5.2-1\nlibnvinfer6 \n"
    assert jetson.tensorrt(jetson.packages(lines)) == ""


def test_architecture_is_no_part_of_a_name() -> None:
    assert jetson.packages("ii  libcudnn9:arm64 9.3.0-1 arm64 x") == {"libcudnn9": "9.3.0-1"}


@given(st.text())
def test_readers_take_anything(said: str) -> None:
    jetson.power_mode(said, jetson.power_modes(said))
    jetson.clocks_pinned(said)
    jetson.cuda(jetson.packages(said))
    jetson.tensorrt(jetson.packages(said + "\nlibnvinfer8 " + said))
    jetson.l4t(said)
