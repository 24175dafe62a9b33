"""A project's release onto a device: compiled and composed as far as that is not done."""

from __future__ import annotations

from dataclasses import dataclass

from yardarm import compile as compiler
from yardarm import deploy as stage
from yardarm import signing
from yardarm.artifacts import Release
from yardarm.deploy import Deployment, PushPlan
from yardarm.deploy import release as releases
from yardarm.events import Note, Sink
from yardarm.flow import image
from yardarm.flow.device import Device, agent, expect
from yardarm.flow.workspace import Workspace
from yardarm.remote import Session


@dataclass(frozen=True)
class Deployed:
    """What a deploy did: the release, what was planned, sent and changed."""

    release: Release
    plan: PushPlan
    deployment: Deployment


def release(opened: Workspace, sink: Sink) -> Release:
    """The project's signed release; compiles and composes what isn't there yet.

    Raises:
        as `yardarm.compile.compile_bundle`, `yardarm.image.compose`, `signing.load_or_make`.
    """
    bundle = compiler.compile_bundle(opened.project, opened.profile, opened.store, sink)
    composed = image.compose(opened, sink)
    key, new = signing.load_or_make()
    if new:
        sink(Note(f"a signing key was made: {key.file}"))
    return stage.make(
        opened.project, opened.profile, composed.image, bundle, store=opened.store, key=key
    )


def deploy(
    device: Device, opened: Workspace, made: Release, sink: Sink, *, allow_downgrade: bool = False
) -> Deployed:
    """Push a release to a connected device and activate it.

    Raises:
        Busy: another session works on the device. Refused, VerificationFailed: see
        `deploy.activate`. Unreachable: the connection broke; run again.
    """
    expect(device, opened.profile)
    with agent(device) as session:
        _admit(session, opened, sink)
        plan = stage.push(session, made, opened.store, sink)
        done = stage.activate(session, made, sink, allow_downgrade=allow_downgrade)
    return Deployed(made, plan, done)


def dry_run(device: Device, made: Release, opened: Workspace) -> PushPlan:
    """What `deploy` would send. Places the agent, and changes nothing else."""
    expect(device, opened.profile)
    with agent(device) as session:
        stage.claim(session, "yardarm deploy --dry-run")
        return stage.survey(session, releases.blobs(made))


def _admit(session: Session, opened: Workspace, sink: Sink) -> None:
    stage.claim(session, f"yardarm deploy {opened.project.name}")
    key, _ = signing.load_or_make()
    if stage.trust(session, key, opened.profile):
        sink(Note(f"{session.address.name} now trusts {key.file}.pub"))
