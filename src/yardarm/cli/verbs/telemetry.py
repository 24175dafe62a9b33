"""`yardarm telemetry`: what the agent on a device has recorded."""

from __future__ import annotations

from typing import Any

import typer

from yardarm.cli import console, options


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("pull")(pull)
    app.add_typer(group, name="telemetry", help="Fetch what the agent on a device recorded.")


def pull(host: options.Host, as_json: options.Json = False) -> None:
    """Fetch a device's telemetry, keep it here, and release it there.

    Example: yardarm telemetry pull lab:pi5
    """
    from yardarm.flow import telemetry as flow
    from yardarm.telemetry import summarise

    with console.progress() as sink:
        pulled = flow.pull(host, sink)
    body: dict[str, Any] = {
        "file": str(pulled.file),
        "dropped": pulled.dropped,
        "records": list(pulled.records),
    }
    rows = [
        [item.name, *(_figure(value) for value in (item.last, item.low, item.mean, item.high))]
        for item in summarise(pulled.records)
    ]
    text = (console.table(["value", "last", "min", "mean", "max"], rows) if rows else "") + (
        f"\n{len(pulled.records)} new records, {pulled.dropped} dropped on the device\n"
        f"{pulled.file}"
    )
    console.show(body, as_json=as_json, text=text)


def _figure(value: float) -> str:
    """Five digits, and never an exponent for what is large: counts stay counts."""
    return f"{value:.0f}" if value.is_integer() or abs(value) >= 1e5 else f"{value:.5g}"
