"""Small images made by hand, and skopeo, which judges what becomes of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import registry_rig
from yardarm.artifacts import MEDIA_CONFIG, MEDIA_LAYER, Image
from yardarm.digest import canonical_json
from yardarm.store import Store


def tar(seed: int, size: int) -> bytes:
    """A layer of one file of random bytes, half of which compress away."""
    data = random.Random(seed).randbytes(size // 2) + bytes(size - size // 2)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(f"data-{seed}")
        member.size = size
        archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def image(store: Store, *seeds: int, size: int = 100_000, architecture: str = "arm64") -> Image:
    """An image of our own: a layer a seed, uncompressed, as `image.assemble` makes them."""
    layers = tuple(store.put(tar(seed, size), MEDIA_LAYER) for seed in seeds)
    config = store.put(
        canonical_json(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
            }
        ),
        MEDIA_CONFIG,
    )
    manifest = store.put_manifest(
        config=config, layers=layers, annotations={"made": "here"}, reference="image/test"
    )
    return Image(manifest.digest, config, layers, {})


def skopeo(*argv: str | Path) -> str:
    registry_rig.need("skopeo")
    done = subprocess.run(
        ["skopeo", *argv], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def docker_layout(folder: Path, architecture: str = "arm64") -> Path:
    """An OCI layout of one gzipped layer, made without our code."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}

    plain = tar(len(architecture), 50_000)
    layer = put(gzip.compress(plain, 6, mtime=5), "application/vnd.oci.image.layer.v1.tar+gzip")
    config = {
        "architecture": architecture,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]},
    }
    body = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [layer],
    }
    manifest = put(json.dumps(body, indent=3).encode(), str(body["mediaType"]))
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "test"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


def put(layout: Path, name: str, *options: str) -> str:
    """Copy the image of a layout into a registry; its digest there."""
    skopeo("copy", "--dest-tls-verify=false", *options, f"oci:{layout}:test", f"docker://{name}")
    return str(json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))["Digest"])
