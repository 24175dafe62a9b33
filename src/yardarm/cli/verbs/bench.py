"""`yardarm bench`: accuracy and latency, measured on the device."""

from __future__ import annotations

from pathlib import Path

import typer

from yardarm.cli import console, options


def register(app: typer.Typer) -> None:
    app.command("bench")(bench)


def bench(
    host: options.Host,
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
) -> None:
    """Measure accuracy and latency on the device.

    The result is kept under .yardarm/results, with every raw sample.

    Example: yardarm bench lab:pi5 --project examples/text-angle
    """
    from yardarm import report
    from yardarm.flow import bench as flow

    with console.progress() as sink:
        done = flow.bench_project(project, host, sink, profile=profile)
    headings, rows = report.summary(done.result)
    text = console.table(headings, rows) + f"\n{done.folder / 'result.json'}"
    console.show(done.result | {"folder": str(done.folder)}, as_json=as_json, text=text)
