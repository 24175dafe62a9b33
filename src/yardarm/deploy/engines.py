"""Engines that a device has built, kept here with our signature for others of its kind.

An attachment is an OCI artifact beside the bundle: the plan, the record that names its digest
and key, and the signature over that record. What a device built is trusted there alone; it is
the user who vouches for it, by having it fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

from yardarm.artifacts import (
    MEDIA_EMPTY,
    MEDIA_ENGINE,
    MEDIA_JSON,
    MEDIA_MANIFEST,
    MEDIA_OCTETS,
    TITLE,
    Bundle,
    Descriptor,
    Release,
)
from yardarm.digest import Digest
from yardarm.errors import VerificationFailed
from yardarm.signing import SigningKey, sign
from yardarm.store import Store
from yardarm_wire import engines as wire
from yardarm_wire.engines import Key, Record

PREFIX = "engine/"
TARGET = "tensorrt"


@dataclass(frozen=True)
class Attachment:
    """An engine that is handed over.

    Attributes:
        payload: the record's canonical JSON, which was signed.
        signature: armored SSHSIG over it, namespace `yardarm-engine`.
    """

    record: Record
    payload: bytes
    signature: bytes
    plan: Descriptor


def needed(release: Release) -> bool:
    """Whether a release runs by an engine."""
    return release.bundles["main"].manifest.get("target") == TARGET


def is_for(release: Release, key: Key) -> bool:
    """Whether a key names the release's own model and build options."""
    bundle = release.bundles["main"]
    options = wire.of_bytes(wire.canonical(bundle.manifest.get("tensorrt")))
    return (key.model, key.options) == (bundle.blobs["model.onnx"].digest, options)


def reference(key: Key) -> str:
    """The name in the store of the engine of that key."""
    return PREFIX + key.digest().removeprefix("sha256:")


def keep(
    store: Store, bundle: Bundle, record: Record, plan: Descriptor, key: SigningKey
) -> Attachment:
    """Sign an engine whose plan is in the store with that title, and name it by its key.

    Raises:
        VerificationFailed: the plan is not the one that the record names.
    """
    if (plan.digest, plan.size) != (record.engine, record.size):
        raise VerificationFailed("the plan is not the one of its record", where=plan.digest)
    payload = wire.canonical(record.to_json())
    made = Attachment(record, payload, sign(key, payload, wire.NAMESPACE), plan)
    size = store.path(bundle.digest).stat().st_size
    store.put_manifest(
        config=store.put(b"{}", MEDIA_EMPTY),
        layers=[
            plan,
            store.put(payload, MEDIA_JSON, {TITLE: wire.ATTACHMENT}),
            store.put(made.signature, MEDIA_OCTETS, {TITLE: wire.SIGNATURE}),
        ],
        artifact_type=MEDIA_ENGINE,
        subject=Descriptor(MEDIA_MANIFEST, bundle.digest, size),
        reference=reference(record.key),
    )
    return made


def find(store: Store, key: Key) -> Attachment | None:
    """The engine of that key; None where none was kept, or a part of it is gone or damaged."""
    found = _load(store, reference(key))
    return found if found and found.record.key == key else None


def kept(store: Store) -> list[Attachment]:
    found = (_load(store, name) for name in store.references(PREFIX))
    return [item for item in found if item]


def _load(store: Store, name: str) -> Attachment | None:
    manifest = store.resolve(name)
    try:
        layers = store.read_json(manifest.digest)["layers"] if manifest else []
        parts = {blob.annotations.get(TITLE): blob for blob in map(Descriptor.from_oci, layers)}
        payload, signature = (
            store.read(Digest(parts[title].digest)) for title in (wire.ATTACHMENT, wire.SIGNATURE)
        )
        record, plan = Record.parse(payload), parts[wire.PLAN]
    except (VerificationFailed, KeyError, TypeError, ValueError):
        return None
    whole = plan.digest == record.engine and store.has(plan.digest)
    return Attachment(record, payload, signature, plan) if whole else None
