"""`yardarm image push` as a user runs it, into a real registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import registry_rig
from registry_images import skopeo
from yardarm.artifacts import Image
from yardarm.image.attachments import PROVENANCE, SBOM
from yardarm.store import Store

pytestmark = pytest.mark.root

PROJECT = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry_rig.registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "yardarm.toml").write_text(PROJECT)
    return tmp_path


def pushing(project: Path, name: str, *more: str) -> tuple[str | Path, ...]:
    place = ("--project", project, "--profile", "raspberry-pi-5")
    return ("image", "push", name, *place, *more)


def raw(name: str) -> dict[str, object]:
    return dict(json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")))


def test_image_and_attachments_arrive_and_go_once(
    cli, composed: Image, shared_store: Store, address: str, project: Path
) -> None:
    name, environment = f"{address}/team/app:1.0", {"YARDARM_STORE": str(shared_store.root)}

    first = cli(*pushing(project, name, "--json"), env=environment).json
    again = cli(*pushing(project, name), env=environment).stdout

    assert first["config"] == composed.config.digest
    assert first["reference"] == f"{name}@{first['digest']}"
    assert first["there_bytes"] == first["mounted_bytes"] == 0
    assert "sent      0.0 MB" in again and first["reference"] in again
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert (seen["Digest"], seen["Architecture"]) == (first["digest"], "arm64")
    attached = raw(f"{address}/team/app:{first['digest'].replace(':', '-')}")["manifests"]
    assert isinstance(attached, list)
    assert {item["artifactType"] for item in attached} >= {SBOM, PROVENANCE}
    assert [item["digest"] for item in first["attachments"]] == [x["digest"] for x in attached]


def test_an_index_lists_it(
    cli, composed: Image, shared_store: Store, address: str, project: Path
) -> None:
    name, environment = f"{address}/team/app:several", {"YARDARM_STORE": str(shared_store.root)}

    done = cli(*pushing(project, name, "--index", "--json"), env=environment).json

    listed = raw(name)["manifests"]
    assert isinstance(listed, list)
    assert [item["digest"] for item in listed] == [done["manifest"]]
    assert listed[0]["platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8"}


def test_what_can_go_wrong_is_said_before_any_work(cli, project: Path) -> None:
    down = f"127.0.0.1:{registry_rig.free_port()}"

    gone = cli(*pushing(project, f"{down}/app:1", "--json"), code=6)
    wrong = cli(*pushing(project, "Not A Name"), code=3)

    assert gone.json["error"]["where"] == down
    assert "not a name of an image" in wrong.stderr
    assert not (project / ".yardarm" / "store").exists()
    assert "Traceback" not in gone.stderr + wrong.stderr
