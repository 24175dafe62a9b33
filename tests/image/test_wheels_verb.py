"""`yardarm wheels` as a user runs it, with an index of our own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import foreign_bases as bases
from wheel_index import ANY, X86, Served, sdist, served, wheel
from yardarm import lockfile
from yardarm.errors import InvalidInput
from yardarm.flow import image as flow_image
from yardarm.flow import wheels as flow
from yardarm.image.requirements import ALWAYS
from yardarm.lockfile import Pinned

TARGET = "cp311-aarch64-manylinux_2_36"

PROJECT = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
[image]
requirements = {requirements}
constraints = {constraints}
"""


def write(folder: Path, requirements: str = "[]", constraints: str = "[]") -> Path:
    folder.mkdir(exist_ok=True)
    text = PROJECT.format(requirements=requirements, constraints=constraints)
    (folder / "yardarm.toml").write_text(text)
    return folder


@pytest.fixture
def index(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ALWAYS:
        wheel(folder, name)
    wheel(folder, "onnxruntime", version="1.21.0")
    sdist(folder, "source")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with served(folder) as found:
        monkeypatch.setenv("UV_DEFAULT_INDEX", found.url)
        yield found


def test_every_package_with_its_versions(cli, index: Served, tmp_path: Path) -> None:
    wheel(index.folder, "numpy", "cp312-cp312-manylinux_2_17_aarch64", version="2.0")
    place = write(tmp_path / "angle")

    found = cli("wheels", "--project", place, "--profile", "raspberry-pi-5", "--json").json

    assert (found["target"], found["ready"], found["locked"]) == (TARGET, True, False)
    numpy, runtime, *_ = found["packages"]
    assert numpy["status"] == "behind" and (numpy["version"], numpy["newest"]) == ("1.0", "2.0")
    assert [why["kind"] for why in numpy["reasons"]] == ["python"]
    assert runtime["status"] == "fits" and runtime["version"] == "1.21.0"
    assert found["size_bytes"] == sum(each["size_bytes"] for each in found["packages"])


def test_known_bad_versions_are_passed_over_and_told(index: Served, tmp_path: Path) -> None:
    """onnxruntime 1.21.0 dies on the Cortex-A72: the profile's data say so."""
    place = write(tmp_path / "angle")

    found = flow.examine(place, "raspberry-pi-4b").to_json()

    runtime = next(each for each in found["packages"] if each["name"] == "onnxruntime")
    assert (runtime["version"], runtime["newest"], runtime["usable"]) == ("1.0", "1.21.0", "1.0")
    (why,) = runtime["reasons"]
    assert why["kind"] == "excluded" and "1.21.0 is known bad on this device" in why["text"]


def test_a_base_of_somebody_elses_has_its_own_python(index: Served, tmp_path: Path) -> None:
    place = write(tmp_path / "angle", '[]\nbase = "oci:base"')
    bases.layout(place / "base", [bases.tar(bases.python("3.12"))])

    locked = flow.lock(place, "raspberry-pi-5")

    assert locked.target == "cp312-aarch64-manylinux_2_36"
    written = lockfile.load(place / lockfile.FILE)
    assert list(written.bases) == ["oci:base"] and list(written.wheels) == [locked.target]
    assert flow.examine(place, "raspberry-pi-5").locked


def test_a_jetson_is_told_its_own_routes(index: Served, tmp_path: Path) -> None:
    for name, pinned in (("numpy", "1.26.4"), ("onnxruntime", "1.23.2")):
        wheel(index.folder, name, version=pinned)
    wheel(index.folder, "onnxruntime_gpu", X86)
    place = write(tmp_path / "angle", '["onnxruntime-gpu"]')

    found = flow.examine(place, "jetson-orin-nano-8gb")

    assert found.target == "cp310-aarch64-manylinux_2_35"
    (failed,) = (each for each in found.findings if each.version is None)
    assert [why.kind for why in failed.reasons] == ["variant", "architecture"]
    cpu, tensorrt, instead = failed.routes
    assert "onnxruntime==1.23.2" in cpu and "jetson-jp6/Containerfile" in cpu
    assert tensorrt.startswith("TensorRT 10.3 of the base nvidia/")
    assert instead == "onnxruntime 1.23.2 does its work"


def test_all_that_fails_is_told_at_once(cli, index: Served, tmp_path: Path) -> None:
    place = write(tmp_path / "angle", '["source", "absent>=3", "onnxruntime==1.21.0"]')
    arguments = ("wheels", "--project", place, "--profile", "raspberry-pi-4b")

    text = cli(*arguments, code=10).stdout
    again = cli(*arguments, "--lock", "--json", code=10).json

    for said in (
        "only an sdist",
        "no such package",
        "known bad on this device",
        "onnxruntime==1.0",
    ):
        assert said in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[-1].endswith("no image: absent, onnxruntime, source")
    assert not again["ready"] and not (place / lockfile.FILE).exists()


def test_a_lock_is_kept_to_until_it_is_renewed(cli, index: Served, tmp_path: Path) -> None:
    place = write(tmp_path / "angle")

    first = flow.lock(place, "raspberry-pi-5")
    wheel(index.folder, "psutil", version="2.0")
    shutil.rmtree(tmp_path / "uv")  # what it knows of the index, it may use for ten minutes
    kept = flow.examine(place, "raspberry-pi-5")
    renewed = cli("wheels", "--project", place, "--profile", "raspberry-pi-5", "--lock").stdout

    assert first.target == TARGET
    assert first.changes() == [(name, "", version(first.now, name)) for name in ALWAYS]
    (psutil,) = (each for each in kept.findings if each.name == "psutil")
    assert kept.locked and (psutil.version, psutil.newest) == ("1.0", "2.0")
    assert "the lock" in psutil.reasons[0].text
    assert [line.split() for line in renewed.splitlines() if "psutil" in line] == [
        ["psutil", "1.0", "2.0"]
    ]
    text = (place / lockfile.FILE).read_text()
    assert f'file = "psutil-2.0-{ANY}.whl"' in text and "127.0.0.1" not in text


def version(pinned: Sequence[Pinned], name: str) -> str:
    return next(each.version for each in pinned if each.name == name)


def test_a_lock_that_no_longer_matches(index: Served, tmp_path: Path) -> None:
    """The doctor says so and goes on; whoever makes an image is stopped."""
    place = write(tmp_path / "angle")
    flow.lock(place, "raspberry-pi-5")
    wheel(index.folder, "more")
    write(place, '["more>=1"]')

    found = flow.examine(place, "raspberry-pi-5")
    with pytest.raises(InvalidInput) as refused:
        flow_image.image(place, "raspberry-pi-5")

    assert found.ready and not found.locked
    assert found.stale == "the lock no longer matches the project: more>=1 is new"
    assert refused.value.what == found.stale and "yardarm wheels --lock" in refused.value.hint


def test_constraints_of_the_project(index: Served, tmp_path: Path) -> None:
    place = write(tmp_path / "angle", constraints='["onnxruntime<1.20"]')

    found = flow.examine(place, "raspberry-pi-5").to_json()

    runtime = next(each for each in found["packages"] if each["name"] == "onnxruntime")
    assert runtime["version"] == "1.0"
    assert "onnxruntime<1.20" in runtime["reasons"][0]["text"]


@pytest.mark.parametrize("text", ["angle @ http://index.invalid/x.whl", "./x", "-r more"])
def test_constraints_are_names_with_bounds(tmp_path: Path, text: str) -> None:
    place = write(tmp_path / "angle", constraints=f'["{text}"]')

    with pytest.raises(InvalidInput) as raised:
        flow.examine(place, "raspberry-pi-5")

    assert raised.value.where == "[image] constraints"


def test_a_profile_is_asked_for(cli, tmp_path: Path) -> None:
    assert "--profile" in cli("wheels", "--project", write(tmp_path / "x"), code=2).stderr
