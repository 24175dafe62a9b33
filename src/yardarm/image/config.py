"""The image's config: how it starts, and which layers it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from yardarm.image.application import APPLICATION
from yardarm.image.foundation import Foundation
from yardarm.image.layer import Layer, epoch
from yardarm.image.spec import Spec
from yardarm.image.wheels import LIBRARY

MODULE = ("-m", "yardarm_runtime")
ENTRYPOINT = ("/usr/bin/python3", *MODULE)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "ORT_DISABLE_TELEMETRY": "1"}


def config(
    layers: Sequence[Layer], spec: Spec, labels: Mapping[str, str], on: Foundation
) -> dict[str, Any]:
    """An OCI image config: a foreign base's own, with ours laid over it."""
    created = datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    platform = {"architecture": "arm64", "variant": "v8", "os": "linux"}
    return {
        **on.config,
        **platform,
        "created": created,
        "config": _started(spec, labels, on),
        "rootfs": {
            "type": "layers",
            "diff_ids": [layer.diff_id or layer.blob.digest for layer in layers],
        },
        "history": [*_history(on), *_made(layers, on, created)],
    }


def _started(spec: Spec, labels: Mapping[str, str], on: Foundation) -> dict[str, Any]:
    """How it starts. What the base says of ports, volumes and signals stays."""
    before = on.config.get("config") or {}
    return {
        **before,
        "User": on.user,
        "Entrypoint": list(spec.command or (on.python, *MODULE)),
        "Cmd": list(spec.arguments),
        "Env": [f"{name}={value}" for name, value in sorted(_environment(spec, on).items())],
        "WorkingDir": f"/{APPLICATION}" if spec.source else "/",
        "Labels": {**(before.get("Labels") or {}), **labels},
    }


def _environment(spec: Spec, on: Foundation) -> dict[str, str]:
    """Ours over the base's; its folders of programs, and of modules after ours, stay."""
    listed = (on.config.get("config") or {}).get("Env") or ()
    before = dict(text.partition("=")[::2] for text in listed)
    modules = [_modules(spec), before.get("PYTHONPATH", "")]
    return {
        "PATH": _PATH,
        **before,
        **_ENVIRONMENT,
        **on.environment,
        "PYTHONPATH": ":".join(filter(None, modules)),
    }


def _modules(spec: Spec) -> str:
    """Where Python looks: the runtime's own first, so that an application can't replace it."""
    return f"/{LIBRARY}:/{APPLICATION}" if spec.source else f"/{LIBRARY}"


def _history(on: Foundation) -> list[Any]:
    """The base's; one that doesn't tell of each layer is none."""
    found = on.config.get("history") or []
    ids = on.config.get("rootfs", {}).get("diff_ids", [])
    told = [each for each in found if not each.get("empty_layer")]
    return list(found) if len(told) == len(ids) else [{"created_by": "base"}] * len(ids)


def _made(layers: Sequence[Layer], on: Foundation, created: str) -> list[dict[str, str]]:
    below = len(on.config.get("rootfs", {}).get("diff_ids", []))
    return [
        {"created": created, "created_by": f"yardarm image: {layer.name}"}
        for layer in layers[below:]
    ]
