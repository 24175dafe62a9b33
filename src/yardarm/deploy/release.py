"""A release: what shall run, in one signed manifest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
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
    classes: Sequence[str] = (),
    remember: bool = True,
) -> Release:
    """The signed release of an image and a bundle.

    As long as nothing changes it keeps its version and signature. Going back to what was
    released before is a new release: a device takes no older version than ran there.

    Args:
        classes: more device classes that it is for; the profile's name always is one.
        remember: False for a release that is only planned.
    """
    content = _content(project, profile, image, bundle)
    content["device_classes"] = list(dict.fromkeys([*classes, profile.name]))
    line = {"project": project.name, "classes": content["device_classes"], "key": key.public}
    step = of_json({"step": "release/2", **line})
    last: dict[str, Any] = store.step(step) or {"content": None, "version": 0}
    unchanged = last["content"] == of_json(content) and _kept(last, store)
    signed = last if unchanged else _sign(content, last["version"], store, key)
    if remember and not unchanged:
        store.record_step(step, signed)
    payload = store.read(Digest(signed["payload"]))
    return Release(
        of_bytes(payload),
        payload,
        store.read(Digest(signed["signature"])),
        signed["version"],
        image,
        {"main": bundle},
    )


def _kept(signed: Mapping[str, Any], store: Store) -> bool:
    return all(store.has(Digest(signed[name])) for name in ("payload", "signature"))


def _sign(content: Mapping[str, Any], before: int, store: Store, key: SigningKey) -> dict[str, Any]:
    """Seconds since 1970 as the version: it grows on every machine of a team alike."""
    now = int(time.time())
    version = max(now, before + 1)
    payload = canonical_json({**content, "version": version, "signed_at": now, "not_after": None})
    signature = sign(key, payload)
    return {
        "content": of_json(content),
        "version": version,
        "payload": store.put(payload, MEDIA_JSON).digest,
        "signature": store.put(signature, MEDIA_OCTETS).digest,
    }


def _content(project: Project, profile: Profile, image: Image, bundle: Bundle) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "project": project.name,
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
    return parts(release.image, release.bundles.values())


def parts(image: Image, bundles: Iterable[Bundle]) -> dict[Digest, int]:
    """Every blob of a release of these, with its size in bytes."""
    blobs = [image.config, *image.layers]
    blobs += [blob for bundle in bundles for blob in bundle.blobs.values()]
    return {blob.digest: blob.size for blob in blobs}
