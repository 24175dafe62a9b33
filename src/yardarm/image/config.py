"""The image's config: how it starts, and which layers it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from yardarm.image import account
from yardarm.image.application import APPLICATION
from yardarm.image.layer import Layer, epoch
from yardarm.image.spec import Spec
from yardarm.image.wheels import LIBRARY

ENTRYPOINT = ("/usr/bin/python3", "-m", "yardarm_runtime")
USER = account.user("onnxruntime")
_ENVIRONMENT = (
    "LANG=C.UTF-8",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONDONTWRITEBYTECODE=1",
    "ORT_DISABLE_TELEMETRY=1",
)


def config(
    layers: Sequence[Layer], spec: Spec, labels: Mapping[str, str], *, user: str = USER
) -> dict[str, Any]:
    """An OCI image config. Layers are uncompressed, so that diff_ids are their digests."""
    created = datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "created": created,
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "config": {
            "User": user,
            "Entrypoint": list(spec.command or ENTRYPOINT),
            "Cmd": list(spec.arguments),
            "Env": [*_ENVIRONMENT, f"PYTHONPATH={_modules(spec)}"],
            "WorkingDir": f"/{APPLICATION}" if spec.source else "/",
            "Labels": dict(labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.blob.digest for layer in layers]},
        "history": [
            {"created": created, "created_by": f"yardarm image: {layer.name}"} for layer in layers
        ],
    }


def _modules(spec: Spec) -> str:
    """Where Python looks: the runtime's own first, so that an application can't replace it."""
    return f"/{LIBRARY}:/{APPLICATION}" if spec.source else f"/{LIBRARY}"
