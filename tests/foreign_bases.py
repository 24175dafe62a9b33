"""Bases for tests: an OCI layout or docker's archive around a few files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Member = tuple[tarfile.TarInfo, bytes]

STATUS = (
    "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u10\nArchitecture: arm64\n"
)


def file(name: str, data: bytes | str = b"x", mode: int = 0o644) -> Member:
    content = data.encode() if isinstance(data, str) else data
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    return info, content


def entry(name: str, kind: bytes, target: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o755
    return info, b""


def python(version: str = "3.11") -> list[Member]:
    """What a base with that Python on Debian bookworm is known by."""
    return [
        *(entry(name, tarfile.DIRTYPE) for name in ("etc", "usr", "usr/bin", "usr/lib", "tmp")),
        entry("bin", tarfile.SYMTYPE, "usr/bin"),
        entry("lib", tarfile.SYMTYPE, "usr/lib"),
        file(f"usr/bin/python{version}", "program", 0o755),
        entry("usr/bin/python3", tarfile.SYMTYPE, f"python{version}"),
        file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        file("etc/group", "root:x:0:\n"),
        file("usr/lib/os-release", 'ID=debian\nVERSION_CODENAME="bookworm"\n'),
        file("var/lib/dpkg/status", STATUS),
    ]


def tar(members: Sequence[Member]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def layout(
    root: Path,
    layers: Sequence[bytes],
    *,
    packed: bool = True,
    tag: str = "latest",
    **config: Any,
) -> Path:
    """An OCI layout of one image.

    Args:
        layers: tars, lowest first.
        config: what the image's config says otherwise.
    """
    blobs = root / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data: bytes, kind: str) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}

    kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if packed else "")
    put_layers = [put(gzip.compress(each, mtime=0) if packed else each, kind) for each in layers]
    body = {
        "architecture": "arm64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest(each) for each in layers]},
        **config,
    }
    settings = put(json.dumps(body).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": settings,
        "layers": put_layers,
    }
    entry = put(json.dumps(manifest).encode(), manifest["mediaType"])
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return root


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def docker(path: Path, layers: Sequence[bytes], **config: Any) -> Path:
    """An archive as `docker save` wrote it before it wrote OCI layouts: with a link between
    layers."""
    ids = [digest(each) for each in layers]
    body = {"architecture": "arm64", "os": "linux", "rootfs": {"diff_ids": ids}, **config}
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    listed = [
        {"Config": "config.json", "RepoTags": ["base:1"], "Layers": [*names, "link/layer.tar"]}
    ]
    body["rootfs"]["diff_ids"] = [*ids, ids[-1]]
    path.write_bytes(
        tar(
            [
                file("config.json", json.dumps(body)),
                *(file(name, data) for name, data in zip(names, layers, strict=True)),
                entry("link/layer.tar", tarfile.SYMTYPE, f"../{names[-1]}"),
                file("manifest.json", json.dumps(listed)),
            ]
        )
    )
    return path
