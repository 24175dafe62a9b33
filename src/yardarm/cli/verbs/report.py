"""`yardarm report`: the newest result as report.html and report.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from yardarm.cli import console, options


def register(app: typer.Typer) -> None:
    app.command("report")(report)


def report(
    project: options.ProjectDir = Path(),
    output: Annotated[
        Path | None, typer.Option("--output", help="folder for the files; default: the result's")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write the newest result as report.html and report.md.

    Example: yardarm report --output report
    """
    from yardarm import project as projects
    from yardarm import report as reports
    from yardarm.measure import results

    root = results.folder_of(projects.load(project).root)
    result = results.latest(root)
    folder = (root / results.LATEST).resolve()
    written = reports.write(result, output or folder)
    headings, rows = reports.summary(result)
    body: dict[str, Any] = {
        "result": str(folder / "result.json"),
        "html": str(written.html),
        "markdown": str(written.markdown),
        "verdict": result.get("verdict"),
        "summary": [dict(zip(("figure", "value", "note"), row, strict=True)) for row in rows],
    }
    text = console.table(headings, rows) + f"\n{written.html}\n{written.markdown}\n"
    console.show(body, as_json=as_json, text=text)
