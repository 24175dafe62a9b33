"""A prepared release comes to its engine: it is there, is handed over, or is built there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yardarm.artifacts import Release
from yardarm.deploy import engines
from yardarm.deploy.engines import Attachment
from yardarm.deploy.plan import plan
from yardarm.deploy.transfer import send
from yardarm.errors import Refused, VerificationFailed
from yardarm.events import Note, Sink, step
from yardarm.remote import Session
from yardarm.store import Store
from yardarm_wire.engines import Key, Record

BUILT, HANDED_OVER, THERE = "built", "handed over", "there"


@dataclass(frozen=True)
class Supplied:
    """How a release came to its engine.

    Attributes:
        how: "there" before, "handed over" from this machine, or "built" on the device.
        key: what the engine is bound to.
        record: None where it was there.
        seconds: that the build took, 0 without one.
    """

    how: str
    key: Key
    record: Record | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        record = self.record.to_json() if self.record else None
        return {
            "how": self.how,
            "key": self.key.to_json(),
            "record": record,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Wanted:
    """The engine that a release wants on a device; `differences`: sentences on how the nearest
    one that is there is another one."""

    key: Key
    present: bool
    differences: tuple[str, ...]


def ask(session: Session, release: Release) -> Wanted | None:
    """Which engine a prepared release wants; None: it runs without one.

    Raises:
        VerificationFailed: the release's runtime can't tell; says why.
    """
    if not engines.needed(release):
        return None
    told = session.request("engine_key", digest=release.digest).header
    if told["key"] is None:
        return None
    return Wanted(Key.from_json(told["key"]), bool(told["present"]), tuple(told["differences"]))


def expect(session: Session, release: Release) -> None:
    """Raises Refused where the release that runs has no engine for the device as it is now."""
    wanted = ask(session, release)
    if wanted and not wanted.present:
        host = session.address.name
        raise Refused(
            "the device has no engine that fits it as it is now: "
            + ("; ".join(wanted.differences) or "none was built yet"),
            where=host,
            hint=f"yardarm deploy {host} builds it, which takes minutes; or undo the change",
        )


def supply(session: Session, release: Release, store: Store | None, sink: Sink) -> Supplied | None:
    """See to it that the device has the engine that a prepared release wants. None: it runs
    without one.

    Args:
        store: where engines for devices of the same kind are kept.

    Raises:
        VerificationFailed: the build failed; says why. Refused: no room for it.
        Busy: the device builds one by itself.
    """
    wanted = ask(session, release)
    if wanted is None:
        return None
    if wanted.present:
        return Supplied(THERE, wanted.key)
    found = engines.find(store, wanted.key) if store else None
    if store and found and _hand_over(session, release, store, found, sink):
        return Supplied(HANDED_OVER, wanted.key, found.record)
    return _build(session, release, wanted, sink)


def _hand_over(
    session: Session, release: Release, store: Store, found: Attachment, sink: Sink
) -> bool:
    """False where the device doesn't take it: it then builds its own."""
    needed = {found.plan.digest: found.plan.size}
    try:
        with step(sink, "engine", "hand over engine") as running:
            reply = session.request("have", blobs=needed)
            planned = plan(needed, reply.header["blobs"])
            done = 0

            def advance(size: int) -> None:
                nonlocal done
                done += size
                running.advance(done, planned.bytes, "bytes")

            send(session, store, planned.transfers, advance)
            session.request(
                "place_engine",
                found.payload,
                digest=release.digest,
                signature=found.signature.decode(),
            )
            running.detail = f"{found.record.size / 1e6:.1f} MB, {told(found.record.key)}"
    except VerificationFailed as error:
        sink(Note(f"the engine that is kept here is not taken: {error.what}", "warning"))
        return False
    return True


def _build(session: Session, release: Release, wanted: Wanted, sink: Sink) -> Supplied:
    host = session.address.name
    why = "; ".join(wanted.differences) or "the first build for a model"
    sink(Note(f"{host} builds an engine, which takes minutes ({why})"))
    with step(sink, "engine", "build engine") as running:
        for frame in session.watch("build_engine", digest=release.digest):
            progress = frame.header.get("progress")
            if progress:
                running.advance(progress["done"], progress["total"] or 1, progress["phase"])
        record = Record.from_json(frame.header["engine"])
        seconds = float(frame.header["built_s"] or 0.0)
        for note in frame.header.get("notes") or []:
            running.note(note)
        running.detail = f"{record.size / 1e6:.1f} MB, {told(record.key)}"
    sink(Note(f"for devices of the same kind: yardarm engine fetch {host}"))
    return Supplied(BUILT, wanted.key, record, seconds)


def told(key: Key) -> str:
    """A key's parts that people know, in one line."""
    parts = (f"TensorRT {key.tensorrt}", f"SM {key.sm}", key.module, key.power_mode)
    return ", ".join(part for part in parts if part)
