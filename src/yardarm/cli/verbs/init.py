"""`yardarm init`: write a project file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yardarm.cli import console, options


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="made if it is not there")] = Path(),
    as_json: options.Json = False,
) -> None:
    """Write a yardarm.toml that explains every setting. An existing one is never touched.

    Example: yardarm init
    """
    from yardarm import template

    file = template.write(folder)
    shown = f"wrote {file}: set {', '.join(template.required())}, then run `yardarm compile`"
    console.show({"file": str(file), "set": template.required()}, as_json=as_json, text=shown)
