"""`yardarm image push`: the image into a registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yardarm.cli import console, options

if TYPE_CHECKING:
    from yardarm.flow.push import Sent


def register(group: typer.Typer) -> None:
    """Below `yardarm image`."""
    group.command("push")(push)


def push(
    reference: Annotated[str, typer.Argument(help="REGISTRY/REPOSITORY:TAG", metavar="NAME")],
    project: options.ProjectDir = Path(),
    profile: options.ProfileName = None,
    index: Annotated[
        bool, typer.Option("--index", help="keep images for other platforms beside it")
    ] = False,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="speak HTTP without TLS; others can read along")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Push the image to a registry, composed first where it is not yet.

    Its bill of materials and its provenance are attached, and signed where there is a key.

    Only what the registry lacks is sent. Log in with `docker login` or `podman login`.

    Example: yardarm image push registry.example.com/team/app:1.0 --profile raspberry-pi-5
    """
    from yardarm.flow import push as flow

    with console.progress() as sink:
        done = flow.push_project(
            project, profile, reference, sink, index=index, plain_http=plain_http
        )
    console.show(_body(done), as_json=as_json, text=_text(done))


def _body(done: Sent) -> dict[str, Any]:
    pushed = done.pushed
    return {
        "reference": str(done.reference.pinned(pushed.digest)),
        "digest": pushed.digest,
        "manifest": pushed.manifest.digest,
        "config": done.image.config.digest,
        "sent_bytes": pushed.sent,
        "mounted_bytes": pushed.mounted,
        "there_bytes": pushed.there,
        "attachments": [
            {"type": note.kind, "digest": note.manifest.digest} for note in done.attachments
        ],
    }


def _text(done: Sent) -> str:
    pushed = done.pushed
    kinds = ", ".join(note.kind for note in done.attachments)
    return "\n".join(
        [
            f"pushed    {done.reference.pinned(pushed.digest)}",
            f"config    {done.image.config.digest}",
            f"sent      {_mb(pushed.sent)}; mounted {_mb(pushed.mounted)}, "
            f"there already {_mb(pushed.there)}",
            f"attached  {kinds}",
        ]
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
