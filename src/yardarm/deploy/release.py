"""A release: what shall run, in one signed manifest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from yardarm.artifacts import MEDIA_JSON, MEDIA_OCTETS, Bundle, Image, Release
from yardarm.digest import Digest, canonical_json, of_bytes, of_json
from yardarm.profiles import Profile
from yardarm.project import Project
from yardarm.signing import SigningKey, sign
from yardarm.store import Store

SCHEMA = "yardarm.release/1"
HEALTH_DEADLINE = 120.0
"""Seconds for a new release to answer; a Pi's cold start takes a few of them."""

SAMPLING = 5.0
"""Seconds between telemetry samples."""


def make(
    project: Project,
    profile: Profile,
    image: Image,
    bundle: Bundle,
    *,
    store: Store,
    key: SigningKey,
) -> Release:
    """The signed release of an image and a bundle. The same content, signed by the same
    key, keeps the version and signature that it got first."""
    content = _content(project, profile, image, bundle)
    step = of_json({"release": content, "key": key.public})
    known = store.step(step)
    if known is None:
        known = _sign(content, store, key)
        store.record_step(step, known)
    payload = store.read(Digest(known["payload"]))
    return Release(
        of_bytes(payload),
        payload,
        store.read(Digest(known["signature"])),
        known["version"],
        image,
        {"main": bundle},
    )


def _sign(content: Mapping[str, Any], store: Store, key: SigningKey) -> dict[str, Any]:
    """Seconds since 1970 as the version: it grows on every machine of a team alike."""
    now = int(time.time())
    payload = canonical_json({**content, "version": now, "signed_at": now, "not_after": None})
    signature = sign(key, payload)
    return {
        "version": now,
        "payload": store.put(payload, MEDIA_JSON).digest,
        "signature": store.put(signature, MEDIA_OCTETS).digest,
    }


def _content(project: Project, profile: Profile, image: Image, bundle: Bundle) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "project": project.name,
        "device_classes": [profile.name],
        "image": {
            "config": image.config.digest,
            "layers": [{"digest": layer.digest, "size": layer.size} for layer in image.layers],
        },
        "bundles": {
            "main": {
                "digest": bundle.digest,
                "files": {
                    name: {"digest": blob.digest, "size": blob.size}
                    for name, blob in sorted(bundle.blobs.items())
                },
            }
        },
        "run": {"mode": "serve", "port": project.run.port, "threads": project.run.threads},
        "health": {"deadline_s": HEALTH_DEADLINE},
        "telemetry": {
            "interval": SAMPLING,
            "temperature": list(profile.telemetry.temperature),
            "clock": list(profile.telemetry.clock),
        },
    }


def blobs(release: Release) -> dict[Digest, int]:
    """Every blob that the release needs on the device, with its size in bytes."""
    parts = [release.image.config, *release.image.layers]
    parts += [blob for bundle in release.bundles.values() for blob in bundle.blobs.values()]
    return {part.digest: part.size for part in parts}
