"""`yardarm image sbom`: what is in the image, for programs that look for weaknesses."""

from __future__ import annotations

from pathlib import Path

import typer

from yardarm.cli import console, options


def register(group: typer.Typer) -> None:
    """Below `yardarm image`."""
    group.command("sbom")(sbom)


def sbom(
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
) -> None:
    """Print the image's bill of materials, composed first where it is not yet.

    It is CycloneDX 1.6 as JSON: packages of Debian and Python with licences, purls and hashes;
    --json only makes errors JSON too.

    Example: yardarm image sbom --profile raspberry-pi-5 > sbom.cdx.json
    """
    from yardarm.flow import image as flow

    with console.progress() as sink:
        bill = flow.bill(project, profile, sink)
    print(bill.decode())
