"""Reports on disk, each file replaced atomically."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yardarm.errors import InvalidInput
from yardarm.report.render import render
from yardarm_wire.files import FILES


@dataclass(frozen=True)
class Written:
    """Where a report was written."""

    html: Path
    markdown: Path


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
