"""Results on disk: `.yardarm/results/<created>-<digest>/`, and `latest`, which points at one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yardarm import paths
from yardarm.errors import InvalidInput
from yardarm.report.render import render
from yardarm_wire.files import FILES

SCHEMA = "yardarm.result/1"
RESULT = "result.json"
HINT = "`yardarm bench HOST` makes one"


@dataclass(frozen=True)
class Written:
    """Where a report was written."""

    html: Path
    markdown: Path


def newest(root: Path) -> Path:
    """The newest result.json of the project in folder `root`, by its real path.

    Raises:
        InvalidInput: nothing has been measured yet.
    """
    file = paths.store(root).parent / "results" / "latest" / RESULT
    if not file.is_file():
        raise InvalidInput(
            "there is no result to report on",
            where=str(file),
            hint=HINT,
        )
    return file.resolve()


def load(file: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        InvalidInput: unreadable, not JSON, or not a result of this schema.
    """
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"not a readable result: {error}", where=str(file)) from None
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        raise InvalidInput(
            f"not a result of schema {SCHEMA}",
            where=str(file),
            hint=HINT,
        )
    return body


def write(result: Mapping[str, Any], folder: Path) -> Written:
    """Render report.html and report.md into `folder`, each replaced atomically.

    Raises:
        InvalidInput: the folder can't be made or written to.
    """
    rendered = render(result)
    written = Written(folder / "report.html", folder / "report.md")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        FILES.write(str(written.html), rendered.html.encode())
        FILES.write(str(written.markdown), rendered.markdown.encode())
    except OSError as error:
        raise InvalidInput(f"can't write the report: {error}", where=str(folder)) from None
    return written
