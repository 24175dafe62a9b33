"""The bill of materials: held against CycloneDX's schema, and against what is in the image."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from yardarm.artifacts import Descriptor, Image
from yardarm.digest import of_bytes
from yardarm.image.attachments import SBOM, read
from yardarm.image.inventory import Inventory, Package
from yardarm.image.licences import Licences
from yardarm.image.provenance import Origin
from yardarm.image.sbom import sbom
from yardarm.lockfile import Pinned
from yardarm.store import Store

CONFIG = Descriptor("", of_bytes(b"config"), 6)
IMAGE = Image(of_bytes(b"manifest"), CONFIG, (), {"yardarm_runtime": "1.0", "libc6": "2"})
FOUND = Inventory(
    debian=(
        Package("libc6", "1:2.36+deb", Licences(("GPL-2",), False), ("libgcc-s1",), "arm64"),
        Package("libgcc-s1", "12", Licences(), ("absent",), "arm64"),
    ),
    python=(
        Package("Some_Thing", "2", Licences(("MIT OR Apache-2.0",)), ("numpy>=1",)),
        Package("numpy", "2.4", Licences(("BSD-3-Clause", "of its own"))),
    ),
    distribution=("debian", "12"),
    whole=True,
)
PINNED = Pinned("some-thing", "2", "some_thing-2-py3-none-any.whl", "ab" * 32, 10)


def valid(data: bytes) -> Any:
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())
    assert problem is None, str(problem)[:2000]
    return json.loads(data)


def by_name(bill: Any) -> dict[str, Any]:
    return {each["name"]: each for each in bill["components"]}


def test_purls_hashes_and_licences() -> None:
    found = by_name(valid(sbom(IMAGE, FOUND, name="angle", pinned=[PINNED])))

    libc = found["libc6"]
    assert libc["purl"] == "pkg:deb/debian/libc6@1%3A2.36%2Bdeb?arch=arm64&distro=debian-12"
    assert libc["licenses"] == [{"license": {"name": "GPL-2", "acknowledgement": "concluded"}}]
    assert "licenses" not in found["libgcc-s1"]
    thing = found["Some_Thing"]
    assert thing["purl"] == "pkg:pypi/some-thing@2?file_name=some_thing-2-py3-none-any.whl"
    assert thing["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert thing["licenses"][0]["expression"] == "MIT OR Apache-2.0"
    assert [each["license"].get("id") for each in found["numpy"]["licenses"]] == [
        "BSD-3-Clause",
        None,
    ]


def test_who_needs_whom() -> None:
    bill = valid(sbom(IMAGE, FOUND, name="angle"))

    needs = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    libc, libgcc = (by_name(bill)[name]["bom-ref"] for name in ("libc6", "libgcc-s1"))
    assert needs[libc] == [libgcc]
    assert needs[libgcc] == []
    assert needs["pkg:pypi/some-thing@2"] == ["pkg:pypi/numpy@2.4"]
    assert needs[CONFIG.digest] == [libc, "pkg:pypi/some-thing@2", "yardarm_runtime@1.0"]


def test_the_application_is_a_component() -> None:
    source = of_bytes(b"application")

    found = by_name(valid(sbom(IMAGE, FOUND, name="angle", source=source)))

    assert (found["angle"]["type"], found["angle"]["version"]) == ("application", source)


def test_the_same_image_gives_the_same_bytes_and_another_one_another_number() -> None:
    first = sbom(IMAGE, FOUND, name="angle")

    assert sbom(IMAGE, FOUND, name="angle") == first
    references = [each["bom-ref"] for each in json.loads(first)["components"]]
    assert references == sorted(references)
    other = json.loads(sbom(IMAGE, FOUND, name="other"))
    assert other["serialNumber"] != json.loads(first)["serialNumber"]


def test_what_is_not_known_is_owned_up_to() -> None:
    part = Inventory((), (), ("", ""), whole=False)

    bill = valid(sbom(IMAGE, part, name="angle"))

    assert bill["compositions"][0]["aggregate"] == "incomplete"


def test_its_time_is_the_one_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")

    assert "1970-01-02T00:00:00Z" in sbom(IMAGE, FOUND, name="angle").decode()


@pytest.mark.root
def test_a_real_image(notes: object, carried: Image, origin: Origin, shared_store: Store) -> None:
    bill = valid(read(SBOM, carried, shared_store) or b"")

    found = by_name(bill)
    versions = {name: each["version"] for name, each in found.items()}
    assert versions == carried.contents
    assert bill["compositions"][0]["aggregate"] == "complete"
    without = {name for name, each in found.items() if "licenses" not in each}
    assert without <= {"libcrypt1"}  # whose copyright file is prose that names no text
    assert {each.sha256 for each in origin.pinned} == {
        each["hashes"][0]["content"] for each in found.values() if "hashes" in each
    }
    needs = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    python = needs[found["libpython3.11-minimal"]["bom-ref"]]
    assert python == [found[name]["bom-ref"] for name in ("libc6", "libssl3")]
