"""`yardarm engine`: engines that devices have built, kept for others of their kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yardarm.cli import console, options

if TYPE_CHECKING:
    from yardarm_wire.engines import Record


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("fetch")(fetch)
    group.command("list")(list_engines)
    app.add_typer(group, name="engine", help="Keep engines that devices built, for their kind.")


def fetch(
    host: options.Host,
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
) -> None:
    """Fetch the engine that a device built, and sign it.

    It is that of the release which runs there. `deploy` hands it to devices with the same key:
    TensorRT, GPU, module, power mode and model. An engine is a program for the GPU: fetch it
    only from a device that you trust.

    Example: yardarm engine fetch jetson@kitchen
    """
    from yardarm.flow import engine as flow

    with console.progress() as sink:
        done = flow.fetch_project(project, host, sink, profile=profile)
    record = done.attachment.record
    body = _body(record) | {"known": done.known}
    said = "was kept already" if done.known else "is kept and signed"
    text = f"{record.engine[7:19]} {said}: `yardarm deploy` hands it to devices with this key"
    console.show(body, as_json=as_json, text=f"{_table([(record, 'signed')])}\n{text}")


def list_engines(
    host: Annotated[
        str | None, typer.Argument(help="a device: what it keeps", show_default="this project")
    ] = None,
    project: options.ProjectDir = Path(),
    as_json: options.Json = False,
) -> None:
    """List the engines kept for the project, or on a device.

    Example: yardarm engine list jetson@kitchen
    """
    from yardarm.flow import engine as flow

    with console.progress() as sink:
        if host is None:
            found = [(item.record, "signed") for item in flow.kept(project)]
        else:
            told = flow.on_device(host, sink)
            found = [
                (record, "handed over" if signed else "built there") for record, signed in told
            ]
    body = [_body(record) | {"origin": origin} for record, origin in found]
    console.show(body, as_json=as_json, text=_table(found) if found else "no engines")


def _body(record: Record) -> dict[str, Any]:
    return {"key": record.key.to_json(), "engine": record.engine, "size": record.size}


def _table(found: list[tuple[Record, str]]) -> str:
    headings = ["model", "engine", "size", "TensorRT", "SM", "module", "mode", ""]
    rows = [
        [
            record.key.model[7:19],
            record.engine[7:19],
            f"{record.size / 1e6:.1f} MB",
            record.key.tensorrt,
            str(record.key.sm),
            record.key.module,
            record.key.power_mode,
            origin,
        ]
        for record, origin in found
    ]
    return console.table(headings, rows)
