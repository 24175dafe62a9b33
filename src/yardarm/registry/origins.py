"""Which repository of a registry is known to hold a blob, so that it can be mounted from there."""

from __future__ import annotations

from collections.abc import Iterable

from yardarm.artifacts import Descriptor
from yardarm.digest import Digest, of_json
from yardarm.registry.reference import Reference
from yardarm.store import Store


def remember(store: Store, reference: Reference, blobs: Iterable[Descriptor]) -> None:
    """Note that the repository holds these."""
    for blob in blobs:
        key = _key(reference.registry, blob.digest)
        if store.step(key) != reference.repository:
            store.record_step(key, reference.repository)


def known(store: Store, reference: Reference, blob: Descriptor) -> str | None:
    """Another repository of the same registry that held the blob when last we looked."""
    found = store.step(_key(reference.registry, blob.digest))
    return found if isinstance(found, str) and found != reference.repository else None


def _key(registry: str, blob: Digest) -> Digest:
    return of_json(["registry/origin", registry, blob])
