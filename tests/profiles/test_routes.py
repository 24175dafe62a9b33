"""Which ways to run models are offered is decided from facts alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from yardarm import facts, matching, profiles
from yardarm.artifacts import Facts
from yardarm.cli.app import app
from yardarm.flow import detect
from yardarm.flow.detect import Detected
from yardarm.routes import Route

RUN = CliRunner().invoke
JETPACKS = ["orin-nano-4-jetpack-5", "orin-nx-16-jetpack-6", "orin-nano-8-jetpack-7"]


def detected(name: str, **changed: Any) -> Detected:
    text = (Path(__file__).parent / "facts" / f"{name}.txt").read_text()
    device = dataclasses.replace(facts.parse(text), **changed)
    profile = matching.match(device, [profiles.load(known) for known in profiles.names()])
    return Detected(device, profile, matching.release(device, profile))


def with_jetson(name: str, engines: dict[str, str] | None = None, **changed: Any) -> Route:
    """The route over TensorRT of a device whose own facts are changed."""
    found = detected(name)
    assert found.facts.jetson
    jetson = dataclasses.replace(found.facts.jetson, **changed)
    engines = found.facts.engines if engines is None else engines
    device: Facts = dataclasses.replace(found.facts, jetson=jetson, engines=engines)
    return dataclasses.replace(found, facts=device).routes[0]


@pytest.mark.parametrize("name", JETPACKS)
def test_jetson_is_told_three_routes(name: str) -> None:
    tensorrt, gpu, cpu = detected(name).routes
    assert [tensorrt.name, gpu.name, cpu.name] == ["tensorrt", "onnxruntime-gpu", "onnxruntime"]
    assert tensorrt.offered is (name != "orin-nx-16-jetpack-6")
    assert gpu.offered is False
    assert cpu.offered is True


def test_wheel_with_the_gpu_is_told_where_it_comes_from() -> None:
    wheel = detected("orin-nx-16-jetpack-6").routes[1].needs[0]
    assert (wheel.what, wheel.there) == (
        "an onnxruntime-gpu wheel for aarch64 and Python 3.10",
        False,
    )
    assert "onnxruntime#20503" in wheel.mend


@pytest.mark.parametrize("name", ["pi-5", "lab-device"])
def test_other_devices_have_the_cpu_alone(name: str) -> None:
    assert [each.name for each in detected(name).routes] == ["onnxruntime"]


def test_compiler_of_the_dla_has_to_be_on_the_device() -> None:
    (missing,) = [n for n in detected("orin-nx-16-jetpack-6").routes[0].needs if not n.there]
    assert "nvidia-l4t-dla-compiler" in missing.mend
    assert with_jetson("orin-nx-16-jetpack-6", dla_compiler=True).offered is True
    assert with_jetson("orin-nx-16-jetpack-6", dla_compiler=None).offered is None


@pytest.mark.parametrize(
    ("engines", "nvidia", "offered"),
    [
        ({"docker": "29.8.0"}, {"docker": True}, True),
        ({"docker": "29.8.0"}, {"docker": False}, False),
        ({"docker": "29.8.0"}, {"docker": None}, None),
        ({"docker": "29.8.0", "podman": "4.9.3"}, {"docker": None, "podman": True}, True),
        ({"podman": "4.0.3"}, {"podman": True}, False),
        ({"podman": "3.4.4", "docker": "27.1"}, {"podman": True, "docker": False}, False),
        ({}, {}, False),
    ],
)
def test_container_engine_has_to_hand_out_the_gpu(
    engines: dict[str, str], nvidia: dict[str, bool | None], offered: bool | None
) -> None:
    assert with_jetson("orin-nano-8-jetpack-7", engines, nvidia=nvidia).offered is offered


def test_unknown_l4t_offers_no_tensorrt() -> None:
    found = detected("orin-nano-8-jetpack-7", jetpack="41.0.0")
    assert found.release is None
    assert found.nearest
    assert found.nearest.jetpack == "7.2"
    assert "41.0.0" in found.routes[0].needs[0].mend
    assert found.routes[0].offered is False
    assert found.base is None
    assert detected("orin-nano-8-jetpack-7").nearest is None


def test_tensorrt_missing_on_the_device_is_fine_and_said() -> None:
    route = with_jetson("orin-nano-8-jetpack-7", tensorrt="", python_tensorrt="")
    assert route.offered is True
    assert "own system has none" in route.note


def test_what_is_there_needs_no_mending() -> None:
    needs = [need for name in JETPACKS for route in detected(name).routes for need in route.needs]
    assert all(bool(need.mend) is (need.there is not True) for need in needs)


@pytest.mark.parametrize("name", JETPACKS)
def test_detect_shows_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = detected(name)
    monkeypatch.setattr(detect, "detect", lambda host, beside=None: found)
    shown = RUN(app, ["detect", "user@jetson"]).stdout
    jetson = found.facts.jetson
    assert jetson
    for part in (jetson.power_mode, jetson.tensorrt, jetson.cudnn, "TensorRT in a container"):
        assert part in shown
    assert "onnxruntime#20503" in shown
    body = json.loads(RUN(app, ["detect", "user@jetson", "--json"]).stdout)
    assert body["facts"]["jetson"]["power_modes"] == jetson.power_modes
    assert found.base
    assert found.base.name in " ".join(shown.split())
    assert body["base"]["brings"]["tensorrt"] == body["release"]["tensorrt"]
    assert [route["offered"] for route in body["routes"]] == [r.offered for r in found.routes]


def test_detect_names_the_nearest_of_an_unknown_l4t(monkeypatch: pytest.MonkeyPatch) -> None:
    found = detected("orin-nx-16-jetpack-6", jetpack="36.9.1")
    monkeypatch.setattr(detect, "detect", lambda host, beside=None: found)
    shown = RUN(app, ["detect", "user@jetson"]).stdout
    assert "unknown; nearest is JetPack 6.1 to 6.2.2, L4T 36.5" in " ".join(shown.split())
