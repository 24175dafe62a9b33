"""`yardarm deploy`: put the project's release onto a device and switch to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yardarm.cli import console, options

if TYPE_CHECKING:
    from yardarm.artifacts import Release
    from yardarm.deploy import PushPlan
    from yardarm.flow.deploy import Deployed


def register(app: typer.Typer) -> None:
    app.command("deploy")(deploy)


def deploy(
    host: options.Host,
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="also take an older version than ran there")
    ] = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Put the project's release onto a device, and switch to it.

    Compiles and composes first what isn't done yet. The device's class is found by asking it.
    With --dry-run nothing is sent or activated, but for the agent that looks what is there.

    Example: yardarm deploy lab:pi5 --project examples/text-angle
    """
    from yardarm.flow import deploy as flow

    with console.progress() as sink:
        if dry_run:
            planned = flow.plan_project(project, host, sink, profile=profile)
            body = plan_body(planned.plan, planned.release)
            text = plan_text(planned.plan, planned.release)
        else:
            done = flow.deploy_project(
                project, host, sink, profile=profile, allow_downgrade=allow_downgrade
            )
            body = deployed_body(done)
            text = deployed_text(done, host)
    console.show(body, as_json=as_json, text=text)


def plan_body(plan: PushPlan, release: Release | None) -> dict[str, Any]:
    return {
        "release": release.digest if release else None,
        "version": release.version if release else None,
        "blobs": {
            "present": list(plan.present),
            "sent": [
                {"digest": item.digest, "size": item.size, "offset": item.offset}
                for item in plan.transfers
            ],
        },
        "bytes": plan.bytes,
        "total_bytes": plan.total,
    }


def plan_text(plan: PushPlan, release: Release | None) -> str:
    rows = [
        [item.digest[7:19], f"{item.size / 1e6:.2f} MB", f"from byte {item.offset}"]
        for item in plan.transfers
    ]
    rows += [[digest[7:19], "", "is there"] for digest in plan.present]
    return (
        console.table(["blob", "size", ""], rows)
        + (
            f"\nrelease {release.digest[7:19]} version {release.version}: "
            if release
            else "\nno signing key was made yet: "
        )
        + f"{plan.bytes / 1e6:.1f} of {plan.total / 1e6:.1f} MB would be sent"
    )


def deployed_body(done: Deployed) -> dict[str, Any]:
    return plan_body(done.plan, done.release) | {
        "changed": done.deployment.changed,
        "previous": done.deployment.previous,
        "downtime_s": done.deployment.downtime_s,
        "golden": done.deployment.golden,
        "engine": done.deployment.engine.to_json() if done.deployment.engine else None,
    }


def deployed_text(done: Deployed, host: str) -> str:
    name = f"release {done.release.digest[7:19]} version {done.release.version}"
    if not done.deployment.changed:
        return f"{host} runs {name} already: nothing to do"
    return (
        f"{host} runs {name}\n"
        f"sent {done.plan.bytes / 1e6:.1f} of {done.plan.total / 1e6:.1f} MB, "
        f"{_engine_text(done)}{done.deployment.downtime_s:.1f} s without service"
    )


def _engine_text(done: Deployed) -> str:
    engine = done.deployment.engine
    if engine is None:
        return ""
    took = f" in {engine.seconds:.0f} s" if engine.seconds else ""
    return f"engine {engine.how}{took}, "
