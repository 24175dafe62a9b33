"""`yardarm image dockerfile`: the recipe for those who build with Docker."""

from __future__ import annotations

from pathlib import Path

import typer

from yardarm.cli import console, options


def register(group: typer.Typer) -> None:
    """Below `yardarm image`."""
    group.command("dockerfile")(dockerfile)


def dockerfile(
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
) -> None:
    """Print a Dockerfile for an equivalent image, composed first where it is not yet.

    Packages have the versions and wheels the hashes of yardarm.lock and of the composed image.

    Example: yardarm image dockerfile --profile raspberry-pi-5 > Dockerfile
    """
    from yardarm.flow import image as flow

    with console.progress() as sink:
        text = flow.recipe(project, profile, sink)
    console.show({"dockerfile": text}, as_json=as_json, text=text.rstrip("\n"))
