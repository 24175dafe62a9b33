"""`yardarm profiles`: list the device profiles, or print one."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from yardarm.cli import console, options

WIDTH = 80


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


def show(
    name: Annotated[str, typer.Argument(autocompletion=options.profile_names)],
    as_json: options.Json = False,
) -> None:
    """Print one device profile, with what it inherits.

    Example: yardarm profiles show raspberry-pi-5
    """
    from yardarm import profiles

    body = profiles.load(name, Path.cwd()).model_dump(mode="json", exclude_none=True)
    console.show(body, as_json=as_json, text=_as_text(body))


def _as_text(body: dict[str, Any]) -> str:
    """As TOML, so that it may be the start of a profile of one's own."""
    tables = [key for key, value in body.items() if _is_table(value)]
    plain = [_entry(key, value) for key, value in body.items() if key not in tables]
    return "\n".join([*plain, *(block for key in tables for block in _blocks(key, body[key]))])


def _is_table(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict)


def _blocks(key: str, value: Any) -> list[str]:
    heading, tables = (f"[{key}]", [value]) if isinstance(value, dict) else (f"[[{key}]]", value)
    return [
        "\n".join(["", heading, *(_entry(*item) for item in table.items())]) for table in tables
    ]


def _entry(key: str, value: Any) -> str:
    """One setting; lists and text that don't fit on a line of 80 columns go over several."""
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    if len(line) <= WIDTH:
        return line
    if isinstance(value, list):
        items = [json.dumps(item, ensure_ascii=False) + "," for item in value]
        short = not any(" " in item for item in items)
        lines = textwrap.wrap(" ".join(items), WIDTH - 2) if short else items
        return "\n".join([f"{key} = [", *(f"  {part}" for part in lines), "]"])
    text = json.dumps(value, ensure_ascii=False)[1:-1]
    folded = textwrap.wrap(text, WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return f'{key} = """\n' + " \\\n".join(folded) + '"""'
