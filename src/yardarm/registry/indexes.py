"""A tag that names images for several platforms."""

from __future__ import annotations

import json
from typing import Any

from yardarm.artifacts import Descriptor
from yardarm.digest import canonical_json
from yardarm.errors import InvalidInput, Unreachable
from yardarm.registry import manifests
from yardarm.registry.client import Client
from yardarm.registry.connections import Cut
from yardarm.registry.manifests import MEDIA_INDEX, Manifest
from yardarm.store import Store

CONFIG_LIMIT = 8 << 20  # bytes
_ATTESTED = "vnd.docker.reference.digest"  # buildx: of which manifest an entry speaks


def put(client: Client, tag: str, manifest: Descriptor, store: Store) -> Descriptor:
    """Have the tag name an index with this image, beside those for other platforms that are
    there. The registry has no lock: of two that do this at once, one may be lost.

    Raises as `Client.manifest` does.
    """
    entry = manifest.to_oci() | {"platform": _platform(store.read_json(manifest.digest), store)}
    there = client.find_manifest(tag)
    kept = others(client, there, entry) if there else []
    body: dict[str, Any] = dict(there.body) if there and there.is_index else {}
    body |= {"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": [*kept, entry]}
    written = store.put(canonical_json(body), MEDIA_INDEX)
    client.put_manifest(tag, store.read(written.digest), MEDIA_INDEX)
    return written


def _platform(manifest: Any, store: Store) -> dict[str, str]:
    return named(store.read_json(manifest["config"]["digest"]))


def named(config: Any) -> dict[str, str]:
    """A config's platform, as an index writes it."""
    keys = ("architecture", "os", "variant")
    return {key: config[key] for key in keys if isinstance(config.get(key), str)}


def others(client: Client, there: Manifest, ours: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries for other platforms; a lone image becomes one."""
    if there.is_index:
        entries = there.entries
    else:
        config = _config(client, there.config)
        entries = [there.blob.to_oci() | {"platform": named(config)}]
    platform = "{os}/{architecture}".format(**ours["platform"])
    replaced = {x["digest"] for x in entries if manifests.fits(x.get("platform"), platform)}
    return [
        entry
        for entry in entries
        if entry["digest"] not in {*replaced, ours["digest"]}
        and entry.get("annotations", {}).get(_ATTESTED) not in replaced
    ]


def _config(client: Client, config: Descriptor) -> Any:
    where = str(client.reference)
    with client.open_blob(config.digest, 0) as answer:
        client.expect(answer, (200,), where)
        try:
            body = json.loads(answer.read(CONFIG_LIMIT))
        except Cut as error:
            raise Unreachable(f"the connection broke: {error}", where=where) from None
        except ValueError:
            body = None
    if not isinstance(body, dict):
        raise InvalidInput("the image that the tag names has no readable config", where=where)
    return body
