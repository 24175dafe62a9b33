"""Engines: fetched from the device that built one, vouched for, and listed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yardarm import deploy as stage
from yardarm import paths, project, signing
from yardarm.artifacts import MEDIA_OCTETS, TITLE, Descriptor, Release
from yardarm.deploy import engines, supply
from yardarm.deploy.engines import Attachment
from yardarm.errors import Refused, VerificationFailed
from yardarm.events import Note, Sink, silent, step
from yardarm.flow import deploy as deploy_flow
from yardarm.flow.bench import expect_running
from yardarm.flow.device import agent, at_work, device
from yardarm.remote import Session
from yardarm.store import Store
from yardarm_wire.engines import PLAN, Record

PIECE = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """An engine that is kept from now on; `known`: it was already."""

    attachment: Attachment
    known: bool


def fetch_project(
    where: Path, host: str, sink: Sink = silent, *, profile: str | None = None
) -> Fetched:
    """Fetch the engine of the project's release that runs on `host`, and sign it: `deploy` then
    hands it to devices with the same key instead of having each build its own.

    Raises:
        Refused: the device runs another release, or one that has no engine there.
        VerificationFailed: the engine arrived damaged.
        YardarmError: of the step that failed, as `flow.deploy.release` does.
    """
    with at_work(where, host, sink, profile=profile, purpose="yardarm engine") as (opened, work):
        made = deploy_flow.release(opened, work, sink)
        with agent(opened) as session:
            stage.claim(session, f"yardarm engine fetch {work.project.name}")
            expect_running(session, work, made)
            return fetch(session, made, work.store, sink)


def fetch(session: Session, release: Release, store: Store, sink: Sink) -> Fetched:
    """The same for a release that runs at the other end of a session that has the claim."""
    record = _record(session, release)
    with step(sink, "engine", "fetch engine") as running:
        known = engines.find(store, record.key)
        running.cached = known is not None and known.record == record
        running.detail = f"{record.size / 1e6:.1f} MB, {supply.told(record.key)}"
        if known and running.cached:
            return Fetched(known, known=True)
        plan = _download(session, record, store, running.advance)
    key, new = signing.load_or_make()
    if new:
        sink(Note(f"a signing key was made: {key.file}"))
    return Fetched(engines.keep(store, release.bundles["main"], record, plan, key), known=False)


def _record(session: Session, release: Release) -> Record:
    host = session.address.name
    wanted = supply.ask(session, release)
    if wanted is None:
        raise Refused("the release runs without an engine: there is nothing to fetch", where=host)
    if not engines.is_for(release, wanted.key):  # what is signed goes to other devices
        raise VerificationFailed(
            "the device names an engine of another model than the release's", where=host
        )
    for item in session.request("engines").header["engines"]:
        record = Record.from_json(item["record"])
        if record.key == wanted.key:
            return record
    supply.expect(session, release)
    raise Refused("the device keeps no such engine", where=host, hint=f"yardarm deploy {host}")


def _download(session: Session, record: Record, store: Store, advance: Any) -> Descriptor:
    with store.writer() as writer:
        while writer.size < record.size:
            size = min(PIECE, record.size - writer.size)
            fields = {"key": record.key.digest(), "offset": writer.size, "size": size}
            piece = session.request("read_engine", **fields).payload
            if not piece:
                break
            writer.write(piece)
            advance(writer.size, record.size, "bytes")
        plan = writer.commit(MEDIA_OCTETS, {TITLE: PLAN})
    if plan.digest != record.engine:
        store.path(plan.digest).unlink()
        raise VerificationFailed(
            "the engine that arrived is not the one of its record",
            where=session.address.name,
            hint="run again; if it stays so, the device's disk is damaged",
        )
    return plan


def kept(where: Path) -> list[Attachment]:
    """The engines that are kept for the project at `where`."""
    return engines.kept(Store(paths.store(project.load(where).root)))


def on_device(host: str, sink: Sink = silent) -> list[tuple[Record, bool]]:
    """The engines that a device keeps, and whether each was handed over with a signature.

    Raises:
        UsageError, Unreachable, VerificationFailed, Refused: as `device` does.
    """
    with device(host, sink, beside=Path()) as opened, agent(opened) as session:
        told = session.request("engines").header["engines"]
    return [(Record.from_json(item["record"]), bool(item["signed"])) for item in told]
