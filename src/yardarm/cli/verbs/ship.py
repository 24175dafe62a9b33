"""`yardarm ship`: the whole way in one command."""

from __future__ import annotations

from pathlib import Path

import typer

from yardarm.cli import console, options
from yardarm.cli.verbs.deploy import deployed_body, deployed_text


def register(app: typer.Typer) -> None:
    app.command("ship")(ship)


def ship(
    host: options.Host,
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
) -> None:
    """Compile, compose, deploy, measure and report, in one go.

    What is done already is not done again. The device's class is found by asking it.

    Example: yardarm ship lab:pi5 --project examples/text-angle
    """
    from yardarm import report
    from yardarm.flow import ship as flow

    with console.progress() as sink:
        shipped = flow.ship(project, host, sink, profile=profile)
    headings, rows = report.summary(shipped.benched.result)
    text = (
        f"{deployed_text(shipped.deployed, host)}\n\n{console.table(headings, rows)}\n"
        f"report  {shipped.report.html}\n        {shipped.report.markdown}"
    )
    body = {
        "deployed": deployed_body(shipped.deployed),
        "result": shipped.benched.result,
        "report": {"html": str(shipped.report.html), "markdown": str(shipped.report.markdown)},
        "folder": str(shipped.benched.folder),
    }
    console.show(body, as_json=as_json, text=text)
