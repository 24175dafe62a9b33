"""`yardarm bench`: accuracy and latency, measured on the device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yardarm.cli import console, options

if TYPE_CHECKING:
    from yardarm.flow.selftest import Tested

MARKS = {True: "ok", False: "FAILED", None: "not there"}


def register(app: typer.Typer) -> None:
    app.command("bench")(bench)


def bench(
    host: options.Host,
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    selftest: Annotated[
        bool,
        typer.Option("--selftest", help="try what the runtime can do there; needs no project"),
    ] = False,
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Measure accuracy and latency on the device.

    The result is kept under .yardarm/results, with every raw sample. With --selftest a small
    model runs on every route that the device offers, and is compared; exits with 8 when a step
    failed.

    Example: yardarm bench lab:pi5 --project examples/text-angle
    """
    if output:
        from yardarm.flow.target import check_file

        check_file(output, "selftest.json" if selftest else "result.json")
    if selftest:
        _selftest(host, output, as_json=as_json)
        return
    from yardarm import report
    from yardarm.flow import bench as flow

    with console.progress() as sink:
        done = flow.bench_project(project, host, sink, profile=profile)
    headings, rows = report.summary(done.result)
    text = console.table(headings, rows) + f"\n{done.folder / 'result.json'}"
    body = done.result | {"folder": str(done.folder)}
    if output:
        _write(output, body)
    console.show(body, as_json=as_json, text=text)


def _selftest(host: str, output: Path | None, *, as_json: bool) -> None:
    from yardarm.errors import VerificationFailed
    from yardarm.flow import selftest as flow

    with console.progress() as sink:
        done = flow.run(host, sink)
    body = done.to_json()
    if output:
        _write(output, body)
    console.show(body, as_json=as_json, text=_page(done))
    if not done.report["ok"]:
        raise typer.Exit(VerificationFailed.exit_code)


def _write(output: Path, body: object) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _page(done: Tested) -> str:
    from yardarm.artifacts import EMULATED

    rows = [
        [MARKS.get(step["ok"], "?"), step["name"], f"{step['seconds']:.1f} s", step["detail"]]
        for step in done.report["steps"]
    ]
    routes = ", ".join(done.report.get("routes", [])) or "none, nothing there can run a model"
    failed = [step["name"] for step in done.report["steps"] if step["ok"] is False]
    lines = [
        console.table(["", "step", "", "found"], rows),
        f"routes on {done.host}, inside {done.inside}: {routes}",
        *([f"failed: {', '.join(failed)}"] if failed else ["nothing failed"] * done.report["ok"]),
    ]
    return "\n".join([*lines, EMULATED] if done.emulated else lines)
