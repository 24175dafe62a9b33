"""OCI's rules for layouts, manifests and configs, written as JSON schemas and checked on files.

Source: the image specification 1.1 (descriptor, manifest, index, config, image layout).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYERS = "application/vnd.oci.image.layer.v1.tar"

MEDIA_TYPE = {"type": "string", "pattern": r"^[A-Za-z0-9][\w!#$&^.+-]*/[A-Za-z0-9][\w!#$&^.+-]*$"}
DIGEST = {"type": "string", "pattern": r"^sha256:[a-f0-9]{64}$"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
STRINGS = {"type": "array", "items": {"type": "string"}}
MAP = {"type": "object", "additionalProperties": {"type": "string"}}
DESCRIPTOR = {
    "type": "object",
    "required": ["mediaType", "digest", "size"],
    "properties": {
        "mediaType": MEDIA_TYPE,
        "digest": DIGEST,
        "size": {"type": "integer", "minimum": 0},
        "annotations": MAP,
        "artifactType": MEDIA_TYPE,
        "platform": {"type": "object", "required": ["architecture", "os"]},
    },
}
_WITHOUT_CONFIG = {"properties": {"config": {"properties": {"mediaType": {"const": EMPTY}}}}}
SCHEMAS: dict[str, Any] = {
    MANIFEST: {
        "type": "object",
        "required": ["schemaVersion", "mediaType", "config", "layers"],
        "properties": {
            "schemaVersion": {"const": 2},
            "mediaType": {"const": MANIFEST},
            "artifactType": MEDIA_TYPE,
            "config": DESCRIPTOR,
            "layers": {"type": "array", "items": DESCRIPTOR, "minItems": 1},
            "subject": DESCRIPTOR,
            "annotations": MAP,
        },
        "if": _WITHOUT_CONFIG,
        "then": {"required": ["artifactType"]},
    },
    INDEX: {
        "type": "object",
        "required": ["schemaVersion", "manifests"],
        "properties": {
            "schemaVersion": {"const": 2},
            "manifests": {"type": "array", "items": DESCRIPTOR},
            "annotations": MAP,
        },
    },
    CONFIG: {
        "type": "object",
        "required": ["architecture", "os", "rootfs"],
        "properties": {
            "architecture": {"const": "arm64"},
            "variant": {"const": "v8"},
            "os": {"const": "linux"},
            "created": TIME,
            "config": {
                "type": "object",
                "properties": {
                    "User": {"type": "string"},
                    "Env": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+=.*"}},
                    "Entrypoint": STRINGS,
                    "Cmd": STRINGS,
                    "WorkingDir": {"type": "string", "pattern": "^/"},
                    "Labels": MAP,
                    "ExposedPorts": {"type": "object"},
                    "Volumes": {"type": "object"},
                    "StopSignal": {"type": "string"},
                },
                "additionalProperties": False,
            },
            "rootfs": {
                "type": "object",
                "required": ["type", "diff_ids"],
                "properties": {
                    "type": {"const": "layers"},
                    "diff_ids": {"type": "array", "items": DIGEST, "minItems": 1},
                },
            },
            "history": {
                "type": "array",
                "items": {"type": "object", "properties": {"created": TIME}},
            },
        },
    },
}


def problems(layout: Path) -> list[str]:
    """What is wrong with the OCI layout in a folder; empty: nothing."""
    return list(_problems(layout))


def _problems(layout: Path) -> Iterator[str]:
    if json.loads((layout / "oci-layout").read_text()) != {"imageLayoutVersion": "1.0.0"}:
        yield "oci-layout: another version"
    index = json.loads((layout / "index.json").read_text())
    yield from _against(INDEX, index, "index.json")
    for each in index["manifests"]:
        yield from _manifest(layout, each)


def _manifest(layout: Path, found: dict[str, Any]) -> Iterator[str]:
    yield from _blob(layout, found)
    body = json.loads(_path(layout, found).read_bytes())
    yield from _against(MANIFEST, body, found["digest"])
    if body.get("artifactType") != found.get("artifactType"):
        yield f"{found['digest']}: index.json says another artifact type"
    for each in (body["config"], *body["layers"], *filter(None, [body.get("subject")])):
        yield from _blob(layout, each)
    if body["config"]["mediaType"] == CONFIG:
        yield from _image(layout, body)


def _image(layout: Path, body: dict[str, Any]) -> Iterator[str]:
    config = json.loads(_path(layout, body["config"]).read_bytes())
    yield from _against(CONFIG, config, body["config"]["digest"])
    diff_ids = [_diff_id(_path(layout, layer)) for layer in body["layers"]]
    if config["rootfs"].get("diff_ids") != diff_ids:
        yield "diff_ids are not those of the layers"
    told = [each for each in config.get("history", []) if not each.get("empty_layer")]
    if "history" in config and len(told) != len(diff_ids):
        yield "history tells of other layers"
    for layer in body["layers"]:
        if layer["mediaType"] in (LAYERS, f"{LAYERS}+gzip"):
            with tarfile.open(_path(layout, layer)) as archive:
                yield from _members(archive)
        else:
            yield f"{layer['digest']}: no layer: {layer['mediaType']}"


def _members(archive: tarfile.TarFile) -> Iterator[str]:
    seen: set[str] = set()
    for member in archive:
        if member.name in seen or member.name.startswith("/") or ".." in member.name.split("/"):
            yield f"{member.name}: there twice, or out of the root"
        if member.islnk() and member.linkname not in seen:
            yield f"{member.name}: a hard link to what comes later"
        seen.add(member.name)


def _blob(layout: Path, found: dict[str, Any]) -> Iterator[str]:
    path = _path(layout, found)
    data = path.read_bytes() if path.exists() else b""
    if (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)) != (
        found["digest"],
        found["size"],
    ):
        yield f"{found['digest']}: missing, or not what its descriptor says"


def _path(layout: Path, found: dict[str, Any]) -> Path:
    return layout / "blobs" / found["digest"].replace(":", "/")


def _diff_id(path: Path) -> str:
    data = path.read_bytes()
    tar = zlib.decompress(data, 31) if data[:2] == b"\x1f\x8b" else data
    return f"sha256:{hashlib.sha256(tar).hexdigest()}"


def _against(kind: str, body: Any, where: str) -> Iterator[str]:
    for error in Draft202012Validator(SCHEMAS[kind]).iter_errors(body):
        yield f"{where}: {error.json_path}: {error.message[:200]}"
