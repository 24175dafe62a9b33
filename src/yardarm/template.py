"""The project file that `yardarm init` writes, made from the settings' own descriptions."""

from __future__ import annotations

import json
import os
from itertools import groupby
from pathlib import Path
from typing import Any

from yardarm.errors import UsageError
from yardarm.project import FILE, Project
from yardarm.reference import Setting, settings

HEAD = f"""\
# {FILE}: what Yardarm compiles, ships and measures. Paths are relative to this file.
# Lines that begin with a single # and a name are optional; they show the default or an example.
"""


def text() -> str:
    """A valid project file: required settings with examples, optional ones as comments."""
    tables = groupby(settings(Project), key=lambda setting: setting.key.split(".")[0])
    blocks = [f"\n[{name}]\n" + "".join(map(_lines, group)) for name, group in tables]
    return HEAD + "".join(blocks)


def required() -> list[str]:
    """Keys that a project must set."""
    return [setting.key for setting in settings(Project) if setting.required]


def write(folder: Path) -> Path:
    """Write the template; the folder is made if need be.

    Raises:
        UsageError: there is a project file already, or the folder can't be made.
    """
    file = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as stream:
            stream.write(text())
    except FileExistsError:
        raise UsageError(
            "it is there already and was not touched",
            where=str(file if folder.is_dir() else folder),
            hint="name another folder, or edit the file",
        ) from None
    except OSError as error:
        raise UsageError(f"can't write: {error.strerror}", where=str(file)) from None
    return file


def _lines(setting: Setting) -> str:
    name = setting.key.split(".", 1)[1]
    shown = setting.default if setting.example is None else setting.example
    value = _toml(shown)
    comment = "" if setting.required else "# "
    return f"## {setting.description} ({setting.kind})\n{comment}{name} = {value}\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(held)}" for key, held in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
