"""The shipped profiles hold the facts they should; wrong profiles fail by name."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from yardarm import profiles
from yardarm.errors import InvalidInput, Unsupported

NAMES = profiles.names()

ANCHORS = {
    # name: (CPU part, cores, sizes in GB, dot product, SM, DLA cores, python, highest opset)
    "raspberry-pi-zero-2w": ("0xd03", 4, (0.5,), False, None, None, "3.11", 21),
    "raspberry-pi-3b-plus": ("0xd03", 4, (1,), False, None, None, "3.11", 21),
    "raspberry-pi-4b": ("0xd08", 4, (1, 2, 4, 8), False, None, None, "3.11", 21),
    "raspberry-pi-5": ("0xd0b", 4, (1, 2, 4, 8, 16), True, None, None, "3.11", 21),
    "jetson-orin-nano-4gb": ("0xd42", 6, (4,), True, 87, 0, "3.10", 20),
    "jetson-orin-nano-8gb": ("0xd42", 6, (8,), True, 87, 0, "3.10", 20),
    "jetson-orin-nx-8gb": ("0xd42", 6, (8,), True, 87, 1, "3.10", 20),
    "jetson-orin-nx-16gb": ("0xd42", 8, (16,), True, 87, 2, "3.10", 20),
    "jetson-agx-orin-32gb": ("0xd42", 8, (32,), True, 87, 2, "3.10", 20),
    "jetson-agx-orin-64gb": ("0xd42", 12, (64,), True, 87, 2, "3.10", 20),
    "jetson-agx-thor": ("0xd83", 14, (128,), True, 110, 0, "3.12", 20),
    "jetson-xavier-nx": ("0x004", 6, (8, 16), False, 72, 2, "3.8", 17),
    "jetson-agx-xavier": ("0x004", 8, (16, 32, 64), False, 72, 2, "3.8", 17),
}


def test_every_profile_is_anchored() -> None:
    assert set(NAMES) == set(ANCHORS)


@pytest.mark.parametrize("name", NAMES)
def test_profile_holds_its_anchor_facts(name: str) -> None:
    found = profiles.load(name)
    assert ANCHORS[name] == (
        found.cpu.part,
        found.cpu.cores,
        found.memory.sizes_gb,
        "asimddp" in found.cpu.features,
        found.gpu.sm if found.gpu else None,
        found.gpu.dla if found.gpu else None,
        found.os.python,
        found.runtime.opset_max,
    )


@pytest.mark.parametrize("name", NAMES)
def test_profile_claims_no_more_than_was_run(name: str) -> None:
    found = profiles.load(name)
    assert found.verified_on_hardware == "never"
    assert "[S]" in found.source
    assert "[M]" in found.source


@pytest.mark.parametrize("name", NAMES)
def test_accelerator_goes_with_its_family(name: str) -> None:
    found = profiles.load(name)
    jetson = found.family == "jetson"
    assert (found.gpu is not None, bool(found.releases)) == (jetson, jetson)
    assert found.runtime.target == ("tensorrt" if jetson else "onnxruntime")
    assert found.quantization.symmetric_activations is jetson


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("jetson")])
def test_system_is_one_of_the_releases(name: str) -> None:
    found = profiles.load(name)
    assert any(
        (item.python, item.opset_max) == (found.os.python, found.runtime.opset_max)
        and item.ubuntu in found.os.name
        for item in found.releases
    )
    numbers = [number for item in found.releases for number in item.l4t]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("jetson")])
def test_builder_leaves_memory_to_everything_else(name: str) -> None:
    found = profiles.load(name)
    assert found.building.workspace_mb == min(min(found.memory.sizes_gb) * 1024 / 8, 8192)


@pytest.mark.parametrize("name", ["raspberry-pi-4b", "raspberry-pi-3b-plus"])
def test_crashing_runtime_is_excluded_with_its_reason(name: str) -> None:
    (excluded,) = profiles.load(name).runtime.exclude
    requirement, _, reason = excluded.partition(";")
    assert requirement == "onnxruntime==1.21.0"
    assert "microsoft/onnxruntime#23957" in reason
    assert {"aes", "pmull", "sha1", "sha2"}.isdisjoint(profiles.load(name).cpu.features)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NAMES, 2)))
def test_no_device_matches_two_profiles(one: str, other: str) -> None:
    """Whoever shares a model string differs in memory."""
    left, right = profiles.load(one), profiles.load(other)
    if any(a in b or b in a for a in left.match for b in right.match):
        assert set(left.memory.sizes_gb).isdisjoint(right.memory.sizes_gb)


def test_bases_are_no_profiles() -> None:
    assert not [name for name in NAMES if name.startswith("_")]


def own(root: Path, name: str, text: str) -> Path:
    folder = root / "device_profiles"
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("colour = 'red'", "colour"),
        ("[cpu]\nspeed = 3", "cpu.speed"),
        ("[cpu]\ncores = 'four'", "cpu.cores"),
        ("[runtime]\ntarget = 'tflite'", "runtime.target"),
        ("match = []", "match"),
    ],
)
def test_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, key: str) -> None:
    file = own(tmp_path, "mine", 'extends = "raspberry-pi-5"\n' + text)
    with pytest.raises(InvalidInput) as failed:
        profiles.load("mine", tmp_path)
    assert failed.value.where == str(file)
    assert f"{key}: " in failed.value.what
    assert failed.value.exit_code == 3


def test_wrong_key_in_a_base_is_told_with_the_base(tmp_path: Path) -> None:
    base = own(tmp_path, "_base", 'extends = "raspberry-pi-5"\n[cpu]\nspeed = 3')
    own(tmp_path, "mine", 'extends = "_base"\n[cpu]\ncores = 2')
    with pytest.raises(InvalidInput) as failed:
        profiles.load("mine", tmp_path)
    assert failed.value.where == str(base)


def test_missing_key_is_told_with_the_profile(tmp_path: Path) -> None:
    file = own(tmp_path, "mine", 'extends = "_raspberry-pi"')
    with pytest.raises(InvalidInput, match="title: Field required") as failed:
        profiles.load("mine", tmp_path)
    assert failed.value.where == str(file)


def test_own_profile_extends_a_shipped_one_key_by_key(tmp_path: Path) -> None:
    own(tmp_path, "mine", 'extends = "raspberry-pi-5"\ntitle = "Mine"\n[cpu]\nmax_mhz = 2800\n')
    mine, theirs = profiles.load("mine", tmp_path), profiles.load("raspberry-pi-5")
    assert (mine.name, mine.title, mine.cpu.max_mhz) == ("mine", "Mine", 2800)
    assert mine.cpu.features == theirs.cpu.features
    assert "mine" in profiles.names(tmp_path)


def test_circle_of_extends_is_told(tmp_path: Path) -> None:
    own(tmp_path, "a", 'extends = "b"')
    own(tmp_path, "b", 'extends = "a"')
    with pytest.raises(InvalidInput, match="a extends b extends a"):
        profiles.load("a", tmp_path)


def test_near_names_are_suggested() -> None:
    with pytest.raises(InvalidInput) as failed:
        profiles.load("raspbery-pi5")
    assert "raspberry-pi-5" in failed.value.hint


def test_broken_toml_names_file_and_line(tmp_path: Path) -> None:
    file = own(tmp_path, "mine", "title = \n")
    with pytest.raises(InvalidInput, match="line 1") as failed:
        profiles.load("mine", tmp_path)
    assert failed.value.where == str(file)


@pytest.mark.parametrize("name", ["jetson-nano", "jetson-tx2"])
def test_devices_of_jetpack_4_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(Unsupported, match=r"JetPack 4.*end of life.*Python 3\.6") as failed:
        profiles.load(name)
    assert failed.value.exit_code == 10


@pytest.mark.parametrize(
    ("name", "asked", "release"),
    [
        ("jetson-orin-nano-8gb", None, "6.1 to 6.2.2"),
        ("jetson-agx-thor", None, "7.2"),
        ("jetson-xavier-nx", None, "5.1"),
        ("jetson-orin-nano-8gb", "5.1.3", "5.1"),
        ("jetson-orin-nano-8gb", "6.0", "6.0"),
        ("jetson-orin-nano-8gb", "6.1", "6.1 to 6.2.2"),
        ("jetson-orin-nano-8gb", "6.2.1", "6.1 to 6.2.2"),
        ("jetson-agx-thor", "7.1", "7.0 and 7.1"),
        ("jetson-agx-thor", "7.0 and 7.1", "7.0 and 7.1"),
    ],
)
def test_release_is_the_named_one_or_the_newest_on_its_system(
    name: str, asked: str | None, release: str
) -> None:
    assert profiles.release_for(profiles.load(name), asked).jetpack == release


@pytest.mark.parametrize("asked", ["6", "6.2.3", "7", "jammy", ""])
def test_unknown_release_is_told_with_the_known_ones(asked: str) -> None:
    with pytest.raises(InvalidInput) as told:
        profiles.release_for(profiles.load("jetson-orin-nano-8gb"), asked)
    assert "6.1 to 6.2.2" in told.value.hint


def test_device_without_releases_is_told() -> None:
    with pytest.raises(InvalidInput, match="no JetPack"):
        profiles.release_for(profiles.load("raspberry-pi-5"), None)
