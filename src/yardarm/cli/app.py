"""The Typer application: options of the program itself, and its verbs."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from yardarm import __version__

VERBS = (
    "init",
    "doctor",
    "profiles",
    "lab",
    "detect",
    "ship",
    "compile",
    "wheels",
    "image",
    "deploy",
    "engine",
    "bench",
    "telemetry",
    "report",
)
"""In the order in which a project meets them."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"yardarm {__version__}")
        raise typer.Exit


def program(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    """Take a model to ARM devices, and prove that it works there."""


app = typer.Typer(
    name="yardarm",
    callback=program,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for name in VERBS:
    import_module(f"yardarm.cli.verbs.{name}").register(app)
