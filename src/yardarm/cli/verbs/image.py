"""`yardarm image`: compose the project's aarch64 image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from yardarm.cli import console, options
from yardarm.cli.verbs import dockerfile, push, sbom
from yardarm.digest import short

if TYPE_CHECKING:
    from yardarm.flow.image import Composed


SHOWN = 8
"""Packages, and kinds of files, that people are shown; --json has all."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True)
    group.callback()(image)
    push.register(group)
    sbom.register(group)
    dockerfile.register(group)
    app.add_typer(group, name="image")


def image(
    context: typer.Context,
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
    output: options.Output = None,
) -> None:
    """Compose the aarch64 image, without running any of it.

    With --output it is also written to an OCI archive, which podman, docker and skopeo load.

    Example: yardarm image --profile raspberry-pi-5
    """
    if context.invoked_subcommand:
        return
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
                "packages_bytes": dict(layer.weights),
                "left_out_bytes": dict(layer.left_out),
                "warnings": list(layer.warnings),
            }
            for layer in composed.layers
        ],
        "attachments": [
            {"type": note.kind, "digest": note.manifest.digest} for note in composed.attachments
        ],
        "duplicates": [
            {"paths": list(each.paths), "layers": list(each.layers), "size_bytes": each.size}
            for each in composed.duplicates
        ],
        "contents": dict(found.contents),
    }


def _text(composed: Composed) -> str:
    found = composed.image
    size = sum(layer.size for layer in found.layers)
    return "\n".join(
        [
            f"image   {found.digest}",
            f"config  {found.config.digest}",
            f"size    {_mb(size)} in {len(found.layers)} layers",
            "",
            console.table(["layer", "size", "cached", "digest"], _layers(composed)),
            console.table(["contents", "version", "layer"], _contents(composed)),
            console.table(["largest", "size", "layer"], _largest(composed)),
            *_diet(composed),
        ]
    )


def _layers(composed: Composed) -> list[list[str]]:
    return [
        [
            layer.name,
            _mb(layer.blob.size),
            "yes" if layer.cached else "no",
            short(layer.blob.digest),
        ]
        for layer in composed.layers
    ]


def _contents(composed: Composed) -> list[list[str]]:
    """What people look for first: the topmost layer comes first."""
    return [
        [name, version, layer.name]
        for layer in reversed(composed.layers)
        for name, version in sorted(layer.contents.items())
    ]


def _largest(composed: Composed) -> list[list[str]]:
    weighed = [
        (size, name, layer.name)
        for layer in composed.layers
        for name, size in layer.weights.items()
    ]
    return [[name, _mb(size), layer] for size, name, layer in sorted(weighed, reverse=True)[:SHOWN]]


def _diet(composed: Composed) -> list[str]:
    """What stayed out, and what is there twice, the largest first."""
    out = [(size, what) for layer in composed.layers for what, size in layer.left_out.items()]
    named = ", ".join(f"{what} {_mb(size)}" for size, what in sorted(out, reverse=True)[:SHOWN])
    total = sum(size for size, _ in out)
    lines = [f"left out  {_mb(total)} ([image] keep takes them in): {named}"] if out else []
    return lines + [
        f"twice     {_mb(each.size)} in {' and '.join(each.layers)}: {' = '.join(each.paths)}"
        for each in composed.duplicates[:SHOWN]
    ]


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
