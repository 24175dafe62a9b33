"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Host = Annotated[str, typer.Argument(help="the device: lab:NAME, user@host[:port] or an ssh alias")]
ProjectDir = Annotated[
    Path, typer.Option("--project", help="yardarm.toml or its folder", show_default="here")
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="device profile; see `yardarm profiles`")
]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON on stdout")]
Output = Annotated[Path | None, typer.Option("--output", help="also write the result here")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="say what would be sent; send and activate nothing")
]
