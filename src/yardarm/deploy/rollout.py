"""One device, one release: claim, trust, push, prepare, activate."""

from __future__ import annotations

import getpass
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.artifacts import Release
from yardarm.deploy.plan import PushPlan, plan
from yardarm.deploy.release import blobs
from yardarm.deploy.supply import THERE, Supplied, supply
from yardarm.deploy.transfer import send
from yardarm.digest import Digest, short
from yardarm.errors import YardarmError
from yardarm.events import Note, Sink, step
from yardarm.profiles import Profile
from yardarm.remote import Session
from yardarm.signing import SigningKey
from yardarm.store import Store


@dataclass(frozen=True)
class Deployment:
    """What came of a deploy. `downtime_s`: seconds without service; `golden`: the
    runtime's answer to the golden inputs; None where nothing had to change; `engine`: None
    for a release that runs without one."""

    changed: bool
    previous: str | None
    downtime_s: float
    golden: dict[str, Any] | None
    engine: Supplied | None = None


def claim(session: Session, purpose: str) -> None:
    """Own the device until the session ends.

    Raises:
        Busy: another session does; it is named.
    """
    owner = f"{getpass.getuser()}@{platform.node()} process {os.getpid()} ({purpose})"
    session.request("claim", owner=owner)


def trust(session: Session, key: SigningKey, profile: Profile) -> bool:
    """Have the device trust our key, if it trusts none yet. True when it does so now.

    Raises:
        Refused: it trusts another key, or is of another class.
    """
    reply = session.request("trust", key=key.public, **{"class": profile.name})
    return bool(reply.header["placed"])


def survey(session: Session, needed: dict[Digest, int], **unpacking: Any) -> PushPlan:
    """Ask what is there, and plan.

    Raises:
        Refused: the device has no room for what is missing.
    """
    reply = session.request("have", blobs=needed, **unpacking)
    return plan(needed, reply.header["blobs"])


def push(session: Session, release: Release, store: Store, sink: Sink) -> PushPlan:
    """Send what the device lacks of a release. Returns what was planned."""
    layers = sum(layer.size for layer in release.image.layers)
    planned = survey(session, blobs(release), config=release.image.config.digest, unpacked=layers)
    transfer(session, store, planned, sink)
    return planned


def transfer(
    session: Session, store: Store, planned: PushPlan, sink: Sink, title: str = "push"
) -> int:
    """Carry out a plan, told under `title`. Returns the bytes that crossed the link."""
    with step(sink, "push", title) as running:
        done = 0

        def advance(size: int) -> None:
            nonlocal done
            done += size
            running.advance(done, planned.bytes, "bytes")

        crossed = send(session, store, planned.transfers, advance)
        running.cached = not planned.transfers
        running.detail = (
            f"{len(planned.transfers)} of {len(planned.transfers) + len(planned.present)} blobs, "
            f"{planned.bytes / 1e6:.1f} MB as {crossed / 1e6:.1f} MB"
        )
    return crossed


def activate(
    session: Session,
    release: Release,
    sink: Sink,
    *,
    allow_downgrade: bool = False,
    store: Store | None = None,
) -> Deployment:
    """Have the device verify, unpack, try and switch to a release. The engine that it wants
    there is handed over from `store`, or built by the device.

    Raises:
        VerificationFailed: signature, digests, golden answers or health are wrong; the
            previous release runs.
        Refused: another device class, an older version, expired, or no room.
    """
    golden = None
    status = session.request("status").header
    if status["current"] != release.digest:
        _warn_of_another(status["project"], release, session, sink)
        golden = _prepare(session, release, sink, allow_downgrade)
    engine = supply(session, release, store, sink)
    if engine and engine.how != THERE and status["current"] != release.digest:
        golden = _prepare(session, release, sink, allow_downgrade)
    with step(sink, "activate", "activate") as running:
        reply = _switch(session, release, sink)
        running.cached = not reply["changed"]
        running.detail = (
            f"healthy; {reply['downtime_s']:.1f} s without service"
            if reply["changed"]
            else f"release {short(release.digest)} runs already, and is healthy"
        )
    return Deployment(reply["changed"], reply["previous"], reply["downtime_s"], golden, engine)


def _warn_of_another(running: str | None, release: Release, session: Session, sink: Sink) -> None:
    """A device runs one project's release at a time."""
    ours = json.loads(release.payload)["project"]
    if running is not None and running != ours:
        text = f"{session.address.name} runs project {running}, which {ours} replaces"
        sink(Note(text, "warning"))


def _switch(session: Session, release: Release, sink: Sink) -> Mapping[str, Any]:
    """Once asked, the device goes through with it, whether we wait or not."""
    try:
        return session.request("activate", digest=release.digest).header
    except YardarmError:
        raise
    except BaseException:
        text = f"{session.address.name} goes on by itself: to {short(release.digest)}, or back"
        sink(Note(text, "warning"))
        raise


def _prepare(
    session: Session, release: Release, sink: Sink, allow_downgrade: bool
) -> dict[str, Any] | None:
    with step(sink, "prepare", "verify and unpack") as running:
        session.send(
            {
                "op": "prepare",
                "signature": release.signature.decode(),
                "allow_downgrade": allow_downgrade,
            },
            release.payload,
        )
        while "progress" in (reply := session.receive().header):
            told = reply["progress"]
            running.advance(told["done"], told["total"], "bytes")
        golden: dict[str, Any] | None = reply["golden"]
        tried = f"{len(golden['outputs'])} golden outputs" if golden else "an engine is needed"
        running.detail = f"signature and digests verified, {tried}"
    return golden
