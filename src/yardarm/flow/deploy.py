"""A project's release onto a device: compiled and composed as far as that is not done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yardarm import compile as compiler
from yardarm import deploy as stage
from yardarm import signing
from yardarm.artifacts import Bundle, Image, Release
from yardarm.deploy import Deployment, PushPlan
from yardarm.deploy import release as releases
from yardarm.errors import Unsupported
from yardarm.events import Note, Sink, silent
from yardarm.flow import image as images
from yardarm.flow.device import Device, agent, at_work, expect
from yardarm.flow.workspace import Workspace
from yardarm.project import Project
from yardarm.remote import Session
from yardarm.signing import SigningKey


@dataclass(frozen=True)
class Deployed:
    """What a deploy did: the release, what was planned, sent and changed."""

    release: Release
    plan: PushPlan
    deployment: Deployment


@dataclass(frozen=True)
class Planned:
    """What a deploy would send; `release` is None where no key is there to sign it."""

    release: Release | None
    plan: PushPlan


def deploy_project(
    where: Path,
    host: str,
    sink: Sink = silent,
    *,
    profile: str | None = None,
    allow_downgrade: bool = False,
) -> Deployed:
    """Put the release of the project at `where` onto `host`, and switch to it.

    Args:
        profile: the device profile to work for; default: what the device says it is.
        allow_downgrade: also take an older version than ran there.

    Raises:
        YardarmError: of the step that failed. Repeating goes on from there.
    """
    with at_work(where, host, sink, profile=profile, purpose="yardarm deploy") as (device, work):
        made = release(device, work, sink)
        return deploy(device, work, made, sink, allow_downgrade=allow_downgrade)


def plan_project(
    where: Path, host: str, sink: Sink = silent, *, profile: str | None = None
) -> Planned:
    """What `deploy_project` would send. Compiles and composes what isn't done yet, and places
    the agent; sends and activates nothing, and makes no key. Raises as it does, also when the
    device has no room."""
    with at_work(where, host, sink, profile=profile, purpose="yardarm deploy") as (device, work):
        image, bundle = _parts(work, sink)
        key = signing.load()
        made = _sign(device, work, image, bundle, key, remember=False) if key else None
        with agent(device) as session:
            stage.claim(session, "yardarm deploy --dry-run")
            needed = releases.parts(image, [bundle])
            layers = sum(layer.size for layer in image.layers)
            plan = stage.survey(session, needed, config=image.config.digest, unpacked=layers)
        return Planned(made, plan)


def release(device: Device, opened: Workspace, sink: Sink) -> Release:
    """The project's signed release; compiles and composes what isn't there yet.

    Raises:
        as `yardarm.compile.compile_bundle`, `yardarm.image.compose`, `signing.load_or_make`.
    """
    expect(device, opened.profile)
    image, bundle = _parts(opened, sink)
    key, new = signing.load_or_make()
    if new:
        sink(Note(f"a signing key was made: {key.file}"))
    return _sign(device, opened, image, bundle, key)


def _parts(opened: Workspace, sink: Sink) -> tuple[Image, Bundle]:
    _expect_runtime(opened.project)
    bundle = compiler.compile_bundle(opened.project, opened.profile, opened.store, sink)
    return images.compose(opened, sink).image, bundle


def _expect_runtime(project: Project) -> None:
    """Before anything is compiled: devices start the runtime, which answers, measures and is
    supervised."""
    if project.run.command:
        raise Unsupported(
            "an image with a program of its own can't be deployed yet",
            where="[run] command",
            hint="`yardarm image --output FILE` and `image push` make the image for other means; "
            "without [run] command the runtime serves the model",
        )


def _sign(
    device: Device,
    opened: Workspace,
    image: Image,
    bundle: Bundle,
    key: SigningKey,
    *,
    remember: bool = True,
) -> Release:
    """For the device's class as well as for the profile, which may be a project's own."""
    return stage.make(
        opened.project,
        opened.profile,
        image,
        bundle,
        store=opened.store,
        key=key,
        classes=(device.kind.name,),
        remember=remember,
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
        _admit(session, device, opened, sink)
        plan = stage.push(session, made, opened.store, sink)
        done = stage.activate(
            session, made, sink, allow_downgrade=allow_downgrade, store=opened.store
        )
    return Deployed(made, plan, done)


def _admit(session: Session, device: Device, opened: Workspace, sink: Sink) -> None:
    stage.claim(session, f"yardarm deploy {opened.project.name}")
    key, _ = signing.load_or_make()
    if stage.trust(session, key, device.kind):
        sink(Note(f"{session.address.name} now trusts {key.file}.pub"))
