"""What is attached to an image: by the referrers API, or by a tag where a registry has none.

Source: OCI Distribution Specification 1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from yardarm.artifacts import Descriptor
from yardarm.digest import Digest, canonical_json
from yardarm.errors import YardarmError
from yardarm.events import Sink, silent, step
from yardarm.registry import manifests
from yardarm.registry.client import Client
from yardarm.registry.manifests import MEDIA_INDEX
from yardarm.registry.push import send_blobs
from yardarm.registry.reference import Reference
from yardarm.registry.uploads import Way
from yardarm.store import Store

_PAGES = 1000


def attach(
    artifacts: Sequence[Descriptor],
    store: Store,
    reference: Reference,
    sink: Sink = silent,
    *,
    plain_http: bool = False,
) -> None:
    """Push artifacts beside their subject, a manifest that is there.

    Args:
        artifacts: their manifests in the store; each names its `subject`.

    Raises as `registry.push` does.
    """
    bodies = {manifest.digest: store.read_json(manifest.digest) for manifest in artifacts}
    parts = [part for body in bodies.values() for part in (body["config"], *body["layers"])]
    with (
        step(sink, f"registry/{reference.repository}/attach", "push attachments") as progress,
        Client(reference, sink, plain_http=plain_http, writing=True) as client,
    ):
        moved = send_blobs(client, [Descriptor.from_oci(x) for x in parts], store, progress)
        for manifest in artifacts:
            _put(client, manifest, bodies[manifest.digest], store)
        progress.cached = moved[Way.SENT] == 0
        progress.detail = f"{len(artifacts)} attachments"


def _put(client: Client, manifest: Descriptor, body: dict[str, Any], store: Store) -> None:
    """The manifest; and, where the registry does not say that it lists it, an entry by tag."""
    subject = Digest(body["subject"]["digest"])
    told = client.put_manifest(manifest.digest, store.read(manifest.digest), manifest.media_type)
    if told.get("OCI-Subject") != subject:
        _list_by_tag(client, subject, manifest.to_oci() | _shown(body))


def referrers(
    subject: Digest,
    reference: Reference,
    sink: Sink = silent,
    *,
    artifact_type: str | None = None,
    plain_http: bool = False,
) -> list[dict[str, Any]]:
    """The descriptors of what is attached to a manifest, with `artifactType` and `annotations`.

    Args:
        artifact_type: only attachments of this type.

    Raises as `registry.pull` does.
    """
    with Client(reference, sink, plain_http=plain_http) as client:
        found = list(_listed(client, subject, artifact_type))
    return [x for x in found if artifact_type in (None, x.get("artifactType"))]


def _shown(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a list of attachments repeats of each."""
    shown = {"artifactType": manifest.get("artifactType") or manifest["config"]["mediaType"]}
    notes = manifest.get("annotations")
    return shown | ({"annotations": notes} if notes else {})


def _tag(subject: Digest) -> str:
    return subject.replace(":", "-")


def _list_by_tag(client: Client, subject: Digest, entry: dict[str, Any]) -> None:
    """Add an attachment to the index that stands under the subject's own tag."""
    there = client.find_manifest(_tag(subject))
    known = there.entries if there and there.is_index else []
    entries = [*(x for x in known if x["digest"] != entry["digest"]), entry]
    body = {"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": entries}
    if entry not in known:
        client.put_manifest(_tag(subject), canonical_json(body), MEDIA_INDEX)


def _listed(client: Client, subject: Digest, artifact_type: str | None) -> Iterator[dict[str, Any]]:
    target = client.path(f"referrers/{subject}")
    if artifact_type:
        target = f"{target}?artifactType={quote(artifact_type, safe='')}"
    for _ in range(_PAGES):
        with client.transport.send("GET", target, client.scopes) as answer:
            if answer.status in (404, 405) or "json" not in answer.headers.get("Content-Type", ""):
                there = client.find_manifest(_tag(subject))
                yield from there.entries if there and there.is_index else []
                return
            client.expect(answer, (200,), str(client.reference))
            page = manifests.read(client.bounded(answer), MEDIA_INDEX, str(client.reference))
            following = re.search(r'<([^>]+)>\s*;\s*rel="?next', answer.headers.get("Link", ""))
        yield from page.entries
        if not following:
            return
        target = answer.following(following[1])
    raise YardarmError("the list of attachments has no end", where=str(client.reference))
