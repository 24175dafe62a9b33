"""`yardarm image` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from yardarm.artifacts import Image

pytestmark = pytest.mark.root

PROJECT = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
[image]
requirements = {requirements}
"""


def project(folder: Path, requirements: str = "[]") -> Path:
    folder.mkdir()
    (folder / "yardarm.toml").write_text(PROJECT.format(requirements=requirements))
    return folder


def test_json_names_digest_layers_and_contents(cli, composed: Image, tmp_path: Path) -> None:
    place = project(tmp_path / "angle")
    arguments = ("image", "--project", place, "--profile", "raspberry-pi-5", "--json")

    keyless = {"XDG_CONFIG_HOME": str(tmp_path / "nobody's")}
    first, second = cli(*arguments, env=keyless).json, cli(*arguments, env=keyless).json

    assert first["digest"] == second["digest"] == composed.digest
    assert first["config"] == composed.config.digest
    assert first["reference"] == "image/angle"
    assert [layer["name"] for layer in first["layers"]] == ["base", "wheels", "runtime"]
    assert [layer["cached"] for layer in second["layers"]] == [True, True, True]
    assert first["size_bytes"] == sum(layer["size_bytes"] for layer in first["layers"])
    assert first["contents"] == composed.contents
    kinds = [each["type"].rpartition("/")[2] for each in first["attachments"]]
    assert kinds == ["vnd.in-toto+json", "vnd.cyclonedx+json"]  # no key, no signature


def test_text_and_archive(cli, composed: Image, tmp_path: Path) -> None:
    place = project(tmp_path / "My Angle")

    ran = cli(
        *("image", "--project", place, "--profile", "raspberry-pi-5"),
        *("--output", tmp_path / "out/image.tar"),
    )

    assert composed.digest in ran.stdout
    assert composed.contents["onnxruntime"] in ran.stdout
    size = sum(blob.size for blob in composed.layers)
    assert size / 5 < (tmp_path / "out/image.tar").stat().st_size < size / 2
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["image.tar"]


def test_the_bill_of_materials(cli, composed: Image, tmp_path: Path) -> None:
    place = project(tmp_path / "angle")

    bill = cli("image", "sbom", "--project", place, "--profile", "raspberry-pi-5").json

    assert bill["metadata"]["component"]["name"] == "angle"
    named = {each["name"]: each["version"] for each in bill["components"]}
    assert named == dict(composed.contents)


def test_an_unknown_requirement_is_named(cli, composed: Image, tmp_path: Path) -> None:
    place = project(tmp_path / "angle", '["numpy<1.0"]')

    ran = cli("image", "--project", place, "--profile", "raspberry-pi-5", "--json", code=10)

    error = ran.json["error"]
    assert error["what"] == "no way onto the device for numpy<1.0"
    assert "numpy<1.0" in error["hint"]


def test_a_profile_is_asked_for(cli, tmp_path: Path) -> None:
    assert "--profile" in cli("image", "--project", project(tmp_path / "x"), code=2).stderr
