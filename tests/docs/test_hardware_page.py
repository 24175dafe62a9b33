"""docs/hardware.md claims no more than the profiles do, and forgets none of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from yardarm import profiles

PAGE = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text(encoding="utf-8")
ROWS = {
    name: (how, real) for name, how, real in re.findall(r"\| `(.+?)` \| (.+?) \| (.+?) \|", PAGE)
}
PROOFS = re.findall(r"^\| ([\w ]+) \| ", PAGE.split("## By profile")[0], re.MULTILINE)[1:]
BINDINGS = ("8.6", "10.", "11.")
"""TensorRT versions whose real bindings can be had; older ones are held against a table."""


def versions(text: str, proof: str) -> set[str]:
    """The versions told with a proof, `10.x` for any 10."""
    told = re.search(rf"{proof} \((.+?)\)", text)
    return set(told[1].split(", ")) if told else set()


def test_every_profile_is_told() -> None:
    assert list(ROWS) == profiles.names()


@pytest.mark.parametrize("name", profiles.names())
def test_real_hardware_is_what_the_profile_says(name: str) -> None:
    assert ROWS[name][1] == profiles.load(name).verified_on_hardware


@pytest.mark.parametrize("name", profiles.names())
def test_proofs_are_those_that_are_explained(name: str) -> None:
    told = re.sub(r" \(.+?\)", "", ROWS[name][0]).split(", ")
    assert set(told) <= set(PROOFS) - {"real hardware"}
    assert ("emulated aarch64" in told) is (profiles.load(name).family == "raspberry-pi")


@pytest.mark.parametrize("name", [name for name in profiles.names() if "jetson" in name])
def test_versions_are_those_of_the_profiles_releases(name: str) -> None:
    has = {each.tensorrt for each in profiles.load(name).releases}
    short = {"10.x" if each.startswith("10.") else ".".join(each.split(".")[:2]) for each in has}
    bound = {each for each in short if each.startswith(BINDINGS)}
    assert versions(ROWS[name][0], "API contract") == bound
    assert versions(ROWS[name][0], "API table") == short - bound
