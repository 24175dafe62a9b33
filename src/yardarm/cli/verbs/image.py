"""`yardarm image`: compose the project's aarch64 image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from yardarm.cli import console, options

if TYPE_CHECKING:
    from yardarm.flow.image import Composed


def register(app: typer.Typer) -> None:
    app.command("image")(image)


def image(
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
    output: options.Output = None,
) -> None:
    """Compose the project's aarch64 image from packages and wheels, without running them.

    With --output it is also written to an OCI archive, which podman, docker and skopeo load.

    Example: yardarm image --profile raspberry-pi-5
    """
    from yardarm.flow import image as flow

    with console.progress() as sink:
        composed = flow.image(project, profile, sink, output=output)
    console.show(_body(composed), as_json=as_json, text=_text(composed))


def _body(composed: Composed) -> dict[str, Any]:
    found = composed.image
    return {
        "digest": found.digest,
        "config": found.config.digest,
        "reference": composed.reference,
        "size_bytes": sum(layer.size for layer in found.layers),
        "layers": [
            {
                "name": layer.name,
                "digest": layer.blob.digest,
                "size_bytes": layer.blob.size,
                "cached": layer.cached,
            }
            for layer in composed.layers
        ],
        "contents": dict(found.contents),
    }


def _text(composed: Composed) -> str:
    body = _body(composed)
    layers = [
        [
            layer["name"],
            _mb(layer["size_bytes"]),
            "yes" if layer["cached"] else "no",
            layer["digest"],
        ]
        for layer in body["layers"]
    ]
    contents = [
        [name, version, layer.name]
        for layer in reversed(composed.layers)
        for name, version in sorted(layer.contents.items())
    ]
    return "\n".join(
        [
            f"image   {body['digest']}",
            f"config  {body['config']}",
            f"size    {_mb(body['size_bytes'])} in {len(layers)} layers",
            "",
            console.table(["layer", "size", "cached", "digest"], layers),
            console.table(["contents", "version", "layer"], contents),
        ]
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
