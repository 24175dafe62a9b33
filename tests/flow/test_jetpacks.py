"""Which JetPack a project is compiled for when a device is at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from yardarm import facts, profiles, project
from yardarm.flow.device import Device, for_device

ORIN = profiles.load("jetson-orin-nano-8gb")
PI = profiles.load("raspberry-pi-5")


@pytest.fixture
def asked(tmp_path: Path) -> project.Project:
    (tmp_path / "yardarm.toml").write_text(
        '[model]\nsource = "m.onnx"\n[data]\ncalibration = "c.npz"\nevaluation = "e.npz"\n'
    )
    return project.load(tmp_path)


def device(l4t: str, profile: profiles.Profile = ORIN) -> Device:
    found = replace(facts.parse(""), jetpack=l4t)
    return Device(cast(Any, None), found, profile, profile)


@pytest.mark.parametrize(
    ("l4t", "tensorrt"), [("35.4.1", "8.5.2"), ("36.3.0", "8.6.2"), ("36.4.3", "10.3")]
)
def test_it_is_the_devices(asked: project.Project, l4t: str, tensorrt: str) -> None:
    made = for_device(asked, device(l4t))
    assert profiles.release_for(ORIN, made.tensorrt.jetpack).tensorrt == tensorrt


def test_a_named_one_stays(asked: project.Project) -> None:
    named = asked.model_copy(
        update={"tensorrt": asked.tensorrt.model_copy(update={"jetpack": "6.0"})}
    )
    assert for_device(named, device("36.4.3")) == named


def test_what_is_not_known_is_left_to_the_profile(asked: project.Project) -> None:
    assert for_device(asked, device("99.9")) == asked
    assert for_device(asked, device("", PI)) == asked
