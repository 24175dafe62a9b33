"""What is attached to images: by a tag in the real registry, by the API in a stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from registry_fake import Fake, Reply
from registry_images import image, skopeo
from registry_rig import status
from yardarm import registry
from yardarm.artifacts import MEDIA_EMPTY, MEDIA_JSON, MEDIA_MANIFEST, Descriptor, Image
from yardarm.digest import canonical_json
from yardarm.registry import Reference
from yardarm.store import Store

SBOM, OTHER = "application/vnd.cyclonedx+json", "application/vnd.in-toto+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def note(store: Store, made: Image, kind: str, text: str) -> Descriptor:
    """An artifact that speaks of an image."""
    subject = Descriptor(MEDIA_MANIFEST, made.digest, store.path(made.digest).stat().st_size)
    return store.put_manifest(
        config=store.put(b"{}", MEDIA_EMPTY),
        layers=[store.put(text.encode(), MEDIA_JSON)],
        artifact_type=kind,
        annotations={"said": text},
        subject=subject,
    )


def test_attachments_are_listed_under_the_subjects_tag(address: str, store: Store) -> None:
    made, name = image(store, 41), Reference.parse(f"{address}/attached:1")
    registry.push(made, store, name)
    assert status(address, f"/v2/attached/referrers/{made.digest}") == 404  # it has no API
    assert registry.referrers(made.digest, name) == []

    first, second = note(store, made, SBOM, "a"), note(store, made, OTHER, "b")
    registry.attach([first, second], store, name)
    registry.attach([first], store, name)  # a second time changes nothing

    assert registry.referrers(made.digest, name) == [
        first.to_oci() | {"artifactType": SBOM, "annotations": {"said": "a"}},
        second.to_oci() | {"artifactType": OTHER, "annotations": {"said": "b"}},
    ]
    found = registry.referrers(made.digest, name, artifact_type=OTHER)
    assert [item["digest"] for item in found] == [second.digest]
    tag = made.digest.replace(":", "-")
    listed = f"docker://{address}/attached:{tag}"
    raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", listed))
    assert (raw["mediaType"], len(raw["manifests"])) == (INDEX, 2)
    one = f"docker://{address}/attached@{first.digest}"
    assert json.loads(skopeo("inspect", "--raw", "--tls-verify=false", one)) == store.read_json(
        first.digest
    )


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake() as found:
        yield found


def test_a_registry_with_the_api_needs_no_tag(fake: Fake, store: Store) -> None:
    made, name = image(store, 42), Reference.parse(f"{fake.address}/app:1")
    manifest = note(store, made, SBOM, "a")
    body = store.read_json(manifest.digest)
    for blob in (body["config"], *body["layers"]):
        fake.replies[f"HEAD /v2/app/blobs/{blob['digest']}"] = [Reply(200)]
    put = f"PUT /v2/app/manifests/{manifest.digest}"
    fake.replies[put] = [Reply(201, headers={"OCI-Subject": made.digest})]

    registry.attach([manifest], store, name, plain_http=True)

    assert fake.paths("PUT") == [put.partition(" ")[2]]
    assert fake.asked[-1].body == store.read(manifest.digest)


def test_the_api_lists_page_after_page(fake: Fake, store: Store) -> None:
    made, name = image(store, 43), Reference.parse(f"{fake.address}/app:1")
    entries = [
        note(store, made, kind, kind).to_oci() | {"artifactType": kind} for kind in (SBOM, OTHER)
    ]
    path = f"/v2/app/referrers/{made.digest}"
    pages = [
        canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
        for entry in entries
    ]
    following = {"Content-Type": INDEX, "Link": f'<{path}/2>; rel="next"'}
    fake.replies[f"GET {path}"] = [Reply(200, pages[0], following)]
    fake.replies[f"GET {path}/2"] = [Reply(200, pages[1], {"Content-Type": INDEX})]

    assert registry.referrers(made.digest, name, plain_http=True) == entries
    # A registry need not filter: then we do.
    some = registry.referrers(made.digest, name, artifact_type=SBOM, plain_http=True)
    assert some == entries[:1]
    assert fake.paths()[-2] == f"{path}?artifactType=application%2Fvnd.cyclonedx%2Bjson"
