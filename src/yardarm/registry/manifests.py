"""Manifests and indexes as registries hold them, OCI's and docker's, checked once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yardarm.artifacts import MEDIA_MANIFEST, Descriptor
from yardarm.digest import Digest, of_bytes, parse
from yardarm.errors import InvalidInput, Unsupported

MEDIA_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
_DOCKER = "application/vnd.docker.distribution.manifest"
INDEXES = (MEDIA_INDEX, f"{_DOCKER}.list.v2+json")
IMAGES = (MEDIA_MANIFEST, f"{_DOCKER}.v2+json")
ACCEPT = ", ".join((*INDEXES, *IMAGES))

LIMIT = 4 << 20
"""Bytes of a manifest, at most. Registries need not take larger ones (OCI Distribution
Specification 1.1, "Pushing Manifests")."""

DISTRIBUTED = (
    "application/vnd.oci.image.layer.v1.tar",
    MEDIA_LAYER_GZIP,
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar",
)
"""Layers that a registry itself holds; others are fetched from elsewhere, which we don't."""


@dataclass(frozen=True)
class Manifest:
    """A manifest or index: `data` is what the registry sent, byte for byte."""

    blob: Descriptor
    data: bytes
    body: Mapping[str, Any]

    @property
    def is_index(self) -> bool:
        return self.blob.media_type in INDEXES

    @property
    def config(self) -> Descriptor:
        return Descriptor.from_oci(self.body["config"])

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        return tuple(Descriptor.from_oci(item) for item in self.body["layers"])

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Of an index: descriptors, some with `platform`."""
        return list(self.body["manifests"])


def read(data: bytes, media_type: str, where: str) -> Manifest:
    """Check what a registry calls a manifest.

    Args:
        media_type: what the registry says it is; "": not known, and OCI lets a manifest be
            silent about it, too.

    Raises:
        InvalidInput: too large, or no manifest.
        Unsupported: a kind that is neither OCI's nor docker's second.
    """
    if len(data) > LIMIT:
        raise InvalidInput(f"the manifest is larger than {LIMIT >> 20} MiB", where=where)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged(where, "it is not JSON") from None
    if not isinstance(body, dict):
        raise _damaged(where, "it is not a JSON object")
    kind = body.get("mediaType") or media_type.partition(";")[0].strip() or _guessed(body)
    if kind not in (*INDEXES, *IMAGES):
        raise Unsupported(f"not an image's manifest, but {kind or 'of no type'}", where=where)
    parts = body.get("manifests") if kind in INDEXES else [body.get("config"), *_layers(body)]
    if not isinstance(parts, list) or not all(map(_is_descriptor, parts)):
        raise _damaged(where, "its descriptors are not as OCI has them")
    return Manifest(Descriptor(kind, of_bytes(data), len(data)), data, body)


def choose(index: Manifest, platform: str, where: str) -> Descriptor:
    """The entry for a platform, such as "linux/arm64".

    Raises:
        Unsupported: there is none; the error names those that are there.
    """
    fitting = [entry for entry in index.entries if fits(entry.get("platform"), platform)]
    if not fitting:
        there = sorted({name(entry.get("platform")) for entry in index.entries} - {""})
        raise Unsupported(
            f"the image is not there for {platform}",
            where=where,
            hint=f"it is there for {', '.join(there) or 'no platform that is named'}",
        )
    return Descriptor.from_oci(fitting[0])


def fits(found: object, platform: str) -> bool:
    """Whether what an entry or a config says of its platform is the one that is wanted.

    Every arm64 is v8; v9 and others need more than each device has.
    """
    if not isinstance(found, Mapping) or found.get("variant") not in (None, "", "v8"):
        return False
    return f"{found.get('os')}/{found.get('architecture')}" == platform


def name(platform: object) -> str:
    """A platform for people; "" for none, and for attestations, which call theirs unknown."""
    if not isinstance(platform, Mapping) or platform.get("os") in (None, "unknown"):
        return ""
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    return "/".join(str(part) for part in parts if part)


def expect_distributed(layers: Sequence[Descriptor], where: str) -> None:
    """Raises Unsupported for a layer that the registry does not hold or that no image has."""
    for layer in layers:
        if layer.media_type not in DISTRIBUTED:
            raise Unsupported(
                f"a layer is of the type {layer.media_type}, which can't be used here", where=where
            )


def _guessed(body: Mapping[str, Any]) -> str:
    """By what only one of OCI's two kinds has."""
    if "manifests" in body:
        return MEDIA_INDEX
    return MEDIA_MANIFEST if "layers" in body else ""


def _layers(body: Mapping[str, Any]) -> list[Any]:
    layers = body.get("layers")
    return layers if isinstance(layers, list) else [None]


def _is_descriptor(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("mediaType"), str):
        return False
    size, annotations = item.get("size"), item.get("annotations", {})
    if type(size) is not int or size < 0 or not isinstance(annotations, dict):
        return False
    try:
        parse(item["digest"])
    except (KeyError, TypeError, ValueError):
        return False
    return True


def _damaged(where: str, what: str) -> InvalidInput:
    return InvalidInput(f"the manifest can't be used: {what}", where=where)


def digest_of(text: str) -> Digest | None:
    """A header's digest, None where it is none."""
    try:
        return parse(text)
    except ValueError:
        return None
