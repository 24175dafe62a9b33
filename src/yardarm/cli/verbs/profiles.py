"""`yardarm profiles`: list the device profiles, or print one."""

from __future__ import annotations

from pathlib import Path

import typer

from yardarm.cli import console, options


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True)
    group.callback()(list_profiles)
    group.command("show")(show)
    app.add_typer(group, name="profiles")


def list_profiles(context: typer.Context, as_json: options.Json = False) -> None:
    """List the device profiles.

    Example: yardarm profiles
    """
    if context.invoked_subcommand:
        return
    from yardarm import profiles

    found = [profiles.load(name, Path.cwd()) for name in profiles.names(Path.cwd())]
    rows = [[p.name, p.title, p.runtime.target, p.verified_on_hardware] for p in found]
    console.show(
        [
            {"name": name, "title": title, "target": target, "verified_on_hardware": verified}
            for name, title, target, verified in rows
        ],
        as_json=as_json,
        text=console.table(["profile", "device", "target", "verified"], rows),
    )


def show(name: str, as_json: options.Json = False) -> None:
    """Print one device profile, with what it inherits.

    Example: yardarm profiles show raspberry-pi-5
    """
    from yardarm import profiles

    body = profiles.load(name, Path.cwd()).model_dump(mode="json", exclude_none=True)
    console.show(body, as_json=as_json, text=_as_text(body))


def _as_text(body: dict[str, object], prefix: str = "") -> str:
    lines = []
    for key, value in body.items():
        if isinstance(value, dict):
            lines.append(_as_text(value, f"{prefix}{key}."))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [_as_text(item, f"{prefix}{key}[{n}].") for n, item in enumerate(value)]
        else:
            shown = ", ".join(str(v) for v in value) if isinstance(value, list) else value
            lines.append(f"{prefix + key:<28} {shown}")
    return "\n".join(lines)
