"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def profile_names(incomplete: str) -> list[str]:
    """For the shell's completion."""
    from yardarm import profiles

    return [name for name in profiles.names(Path.cwd()) if name.startswith(incomplete)]


def lab_names(incomplete: str) -> list[str]:
    """For the shell's completion: the devices that are up, as hosts."""
    from yardarm import lab

    hosts = [f"lab:{device.name}" for device in lab.devices()]
    return [host for host in hosts if host.startswith(incomplete)]


Host = Annotated[
    str,
    typer.Argument(
        help="the device: lab:NAME, user@host[:port] or an ssh alias", autocompletion=lab_names
    ),
]
ProjectDir = Annotated[
    Path, typer.Option("--project", help="yardarm.toml or its folder", show_default="here")
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile", help="device profile; see `yardarm profiles`", autocompletion=profile_names
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON on stdout")]
Output = Annotated[Path | None, typer.Option("--output", help="also write the result here")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="say what would be sent; send and activate nothing")
]
