"""`yardarm compile`: the project's model made ready for a device class."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yardarm.cli import console, options
from yardarm.errors import Unsupported, UsageError

if TYPE_CHECKING:
    from yardarm.compile import Compiled


def register(app: typer.Typer) -> None:
    app.command("compile")(compile_model)


def compile_model(
    model: Annotated[
        Path | None,
        typer.Argument(help="an ONNX file to --check without a project", show_default="project's"),
    ] = None,
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    as_json: options.Json = False,
    output: options.Output = None,
    check: Annotated[
        bool, typer.Option("--check", help="only say whether the device can take the model")
    ] = False,
    jetpack: Annotated[
        str | None,
        typer.Option(
            "--jetpack",
            metavar="VERSION",
            help="which JetPack --check is for",
            show_default="the newest on the profile's system",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="show where the result departs, and why int8 helps")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="HOST",
            help="time candidates on this device, and explain",
            autocompletion=options.lab_names,
        ),
    ] = None,
    memory_limit: Annotated[
        int | None,
        typer.Option(
            "--memory-limit",
            metavar="MB",
            min=1,
            help="activations that calibration may hold at a time",
            show_default="512",
        ),
    ] = None,
) -> None:
    """Quantize the model, and score what was written.

    With --check nothing is made: operators, types, sizes and quantization are held against what
    the profile's engine takes, all findings are told at once, and errors end with exit code 10.
    With --output the bundle's files and a report are written to that folder. With --explain
    the result is held against the original layer by layer, and its operators are timed. With
    --on HOST times are that device's: candidates are compared by them, and operators explained.

    Example: yardarm compile --profile raspberry-pi-5 --output out
    """
    if check:
        if output or explain or on or memory_limit:
            raise UsageError("--check makes nothing: it goes with --jetpack and --json alone")
        _checked(model, project, profile, jetpack, as_json)
        return
    if model:
        raise UsageError(
            "a model file alone can be checked, not compiled",
            hint="add --check, or name it in a project's yardarm.toml",
        )
    if jetpack:
        raise UsageError(
            "--jetpack goes with --check",
            hint="to compile for it, set `jetpack` under [tensorrt] in yardarm.toml",
        )
    limit = memory_limit * 1_000_000 if memory_limit else None
    if explain or on:
        _explained(project, profile, as_json, output, on=on, limit=limit)
        return
    from yardarm.flow import compile as flow

    with console.progress() as sink:
        made = flow.compile_project(project, profile, sink, output=output, memory_limit=limit)
    console.show(_body(made), as_json=as_json, text=_text(made, output))


def _checked(
    model: Path | None, project: Path, profile: str | None, jetpack: str | None, as_json: bool
) -> None:
    from yardarm.cli import readiness
    from yardarm.flow import check as flow

    with console.progress() as sink:
        if model:
            found = flow.check_file(model, profile, sink, jetpack=jetpack)
        else:
            found = flow.check_project(project, profile, sink, jetpack=jetpack)
    console.show(found.to_json(), as_json=as_json, text=readiness.page(found))
    if not found.ready:
        raise typer.Exit(Unsupported.exit_code)


def _explained(
    project: Path,
    profile: str | None,
    as_json: bool,
    output: Path | None,
    *,
    on: str | None,
    limit: int | None,
) -> None:
    from yardarm.cli import explanation
    from yardarm.flow import explain as flow

    with console.progress() as sink:
        if on:
            done = flow.explain_on(
                project, on, sink, profile=profile, output=output, memory_limit=limit
            )
        else:
            done = flow.explain_project(project, profile, sink, output=output, memory_limit=limit)
    body = _body(done.made) | {"explanation": done.explanation.to_json()}
    page = explanation.page(done.explanation, done.made.bundle.manifest)
    operators = done.explanation.operators
    emulated = operators is not None and operators.emulated
    text = f"{_text(done.made, output, emulated=emulated)}\n\n{page}"
    console.show(body, as_json=as_json, text=text)


def _body(made: Compiled) -> dict[str, Any]:
    manifest = made.bundle.manifest
    return {
        "digest": made.bundle.digest,
        "reference": f"bundle/{manifest['project']}/{manifest['profile']}",
        "cached": made.cached,
        "accuracy": manifest["accuracy"],
        "size": {
            "source_bytes": manifest["source"]["size"],
            "model_bytes": manifest["model"]["size"],
        },
        "search": manifest["search"] | {"latency_ms": dict(made.latency_ms)},
    }


def _text(made: Compiled, output: Path | None, *, emulated: bool = False) -> str:
    manifest = made.bundle.manifest
    accuracy, source, model = manifest["accuracy"], manifest["source"], manifest["model"]
    rows = [
        ["before", *_figures(accuracy["before"]), _mb(source["size"])],
        ["after", *_figures(accuracy["after"]), _mb(model["size"])],
        ["drop", *_figures(accuracy["drop"]), ""],
    ]
    lines = [
        console.table(["", accuracy["metric"], "95 % interval", "model"], rows).rstrip(),
        f"over {accuracy['after']['samples']:,} samples",
        *_measured(manifest),
        "",
        *_mix(manifest, timed=bool(made.latency_ms)),
        *_times(made.latency_ms, emulated),
        "",
        f"bundle {made.bundle.digest}",
    ]
    return "\n".join([*lines, *([f"files  {output}"] if output else [])])


def _measured(manifest: Mapping[str, Any]) -> list[str]:
    """What the figures are of, where the device's engine is not here."""
    if "tensorrt" not in manifest:
        return []
    text = f"measured {manifest['accuracy']['measured']}"
    built = f"the device builds the engine with TensorRT {manifest['tensorrt']['version']}"
    return [*textwrap.wrap(text, 80), built]


def _mix(manifest: Mapping[str, Any], *, timed: bool) -> list[str]:
    """What the search chose, and what it had to choose from."""
    search = manifest["search"]
    tried = search["candidates"]
    chosen = next(each for each in tried if each["name"] == search["chosen"])
    forms = chosen["forms"]
    if "tensorrt" in manifest:  # of all nodes: what float16 can't hold was never a choice
        forms = Counter(node["precision"] for node in manifest["nodes"])
    counts = [f"{count} {form}" for form, count in sorted(forms.items()) if count]
    mixes = "1 mix" if len(tried) == 1 else f"{len(tried)} mixes"
    lines = textwrap.wrap(f"nodes  {', '.join(counts)}", 80) if counts else []
    ranked = "" if timed else ", by modelled cost"
    return [*lines, f"search {mixes} scored, chosen: {chosen['name']}{ranked}"]


def _times(latency_ms: Mapping[str, float], emulated: bool) -> list[str]:
    """What a device said of the candidates."""
    rows = [[name, f"{latency:.3f} ms"] for name, latency in latency_ms.items()]
    heading = "emulated: not the device's median" if emulated else "median on the device"
    return ["", console.table(["mix", heading], rows).rstrip()] if rows else []


def _figures(estimate: dict[str, Any]) -> list[str]:
    return [f"{estimate['value']:.4f}", f"{estimate['low']:.4f} to {estimate['high']:.4f}"]


def _mb(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
