"""The session: requests in, replies out, over stdin and stdout of one SSH channel.

Every message is documented in docs/session-protocol.md. A request that fails is answered
with an error; the session goes on. A broken frame ends it.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import closing
from typing import IO, Any, BinaryIO, Callable, Dict, Generator, Iterator, Optional, Union

from yardarm_agent import (
    activate,
    attachments,
    blobs,
    building,
    daemon,
    engines,
    machine,
    measure,
    prepare,
    trust,
)
from yardarm_agent.layout import Layout
from yardarm_agent.spool import Spool
from yardarm_wire import frames
from yardarm_wire.files import FILES
from yardarm_wire.frames import PROTOCOL, BadFrame, Frame
from yardarm_wire.problems import InUse, Invalid, Problem, Refusal

PULL_BYTES = 3 << 20
PATIENCE = 3.0
"""Seconds in which a session whose host is gone has ended, and a new one may have its claim."""

Reply = Union[Dict[str, Any], Frame, Iterator[Frame]]


def serve(layout: Layout, requests: BinaryIO, replies: BinaryIO) -> int:
    """Answer requests until the stream ends. Exit code 0; 1 after a broken frame."""
    session = Session(layout, replies)
    try:
        while True:
            frame = frames.read(requests)
            if frame is None:
                return 0
            session.answer(frame)
    except BadFrame as error:
        sys.stderr.write("%s\n" % error)
        return 1
    except ConnectionError:
        return 0  # the host has gone
    finally:
        session.close()


class Session:
    """What one host may ask for, and the lock that it took."""

    def __init__(self, layout: Layout, replies: BinaryIO) -> None:
        self._layout = layout
        self._replies = replies
        self._claim: Optional[IO[str]] = None
        self._operations: Dict[str, Callable[[Dict[str, Any], bytes], Reply]] = {
            "hello": self._hello,
            "status": self._status,
            "claim": self._take_claim,
            "trust": self._trust,
            "have": self._have,
            "put": self._put,
            "seal": self._seal,
            "prepare": self._prepare,
            "engine_key": self._engine_key,
            "place_engine": self._place_engine,
            "build_engine": self._build_engine,
            "engines": self._engines,
            "read_engine": self._read_engine,
            "activate": self._activate,
            "bench": self._bench,
            "probe": self._probe,
            "selftest": self._selftest,
            "device": self._device,
            "read": self._read,
            "spool": self._spool,
            "acknowledge": self._acknowledge,
            "logs": self._logs,
        }

    def answer(self, frame: Frame) -> None:
        try:
            self._say(self._dispatch(frame))
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  whatever failed, the host is told, once
            self._send(Frame({"error": _as_problem(error, self._layout).as_json()}))

    def close(self) -> None:
        if self._claim is not None:
            self._claim.close()

    def _dispatch(self, frame: Frame) -> Reply:
        name = frame.header.get("op")
        operation = self._operations.get(name) if isinstance(name, str) else None
        if operation is None:
            raise Invalid("unknown request", str(name)[:40] if isinstance(name, str) else "")
        return operation(frame.header, frame.payload)

    def _say(self, reply: Reply) -> None:
        if isinstance(reply, dict):
            self._send(Frame(reply))
        elif isinstance(reply, Frame):
            self._send(reply)
        else:
            for frame in reply:
                self._send(frame)

    def _send(self, frame: Frame) -> None:
        self._replies.write(frames.encode(frame))
        self._replies.flush()

    def _tell(self, phase: str, done: int, total: int) -> None:
        self._send(Frame({"progress": {"phase": phase, "done": done, "total": total}}))

    def _hello(self, _header: Dict[str, Any], _payload: bytes) -> Reply:
        return {"protocol": PROTOCOL, "python": "%d.%d.%d" % sys.version_info[:3]}

    def _status(self, _header: Dict[str, Any], _payload: bytes) -> Reply:
        layout = self._layout
        return {
            "current": layout.active(layout.current),
            "project": activate.project(layout),
            "previous": layout.active(layout.previous),
            "class": trust.device_class(layout),
            "floors": trust.floors(layout),
            "supervisor": daemon.holder(layout, "supervisor") is not None,
            "telemetry": daemon.holder(layout, "telemetry") is not None,
            "free": blobs.free(layout),
        }

    def _take_claim(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        """Whoever changes the device holds the claim until the session ends."""
        if self._claim is None:
            self._claim = daemon.hold(self._layout, "session", str(header["owner"])[:200], PATIENCE)
            if self._claim is None:
                owner = daemon.holder(self._layout, "session") or ["", "another session"]
                who = owner[1] or "another session"
                raise InUse("busy: %s works on this device" % who, "", "wait for it to end")
            prepare.discard_partial(self._layout)
        return {}

    def _claimed(self) -> Layout:
        if self._claim is None:
            raise Invalid("a claim is needed first")
        return self._layout

    def _trust(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        layout = self._claimed()
        key, wanted = _text(header, "key"), _text(header, "class")
        known = trust.device_class(layout)
        if known not in (None, wanted):
            raise Refusal("this device is %s, not %.80s" % (known, wanted))
        placed = trust.place(layout, key)
        if known is None:
            body = json.dumps({"class": wanted}).encode()
            FILES.write(os.path.join(layout.root, "device.json"), body)
        return {"placed": placed}

    def _have(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        """Which blobs are here; refused at once when the missing ones would not fit."""
        layout = self._claimed()
        state = {digest: blobs.arrived(layout, digest) for digest in header["blobs"]}
        missing = blobs.outstanding(header["blobs"], state)
        unpacking = 0
        if "config" in header and not os.path.isdir(layout.image(header["config"])):
            unpacking = _count(header, "unpacked")
        blobs.require(layout, missing + unpacking)
        return {"blobs": state, "free": blobs.free(layout)}

    def _put(self, header: Dict[str, Any], payload: bytes) -> Reply:
        chunk = blobs.Chunk(
            header["digest"], header["size"], header["offset"], header["encoding"], payload
        )
        return {"length": blobs.receive(self._claimed(), chunk)}

    def _seal(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        blobs.seal(self._claimed(), header["digest"])
        return {}

    def _prepare(self, header: Dict[str, Any], payload: bytes) -> Reply:
        signed = trust.Signed(payload, _text(header, "signature").encode())
        downgrade = bool(header.get("allow_downgrade"))
        return prepare.prepare(self._claimed(), signed, downgrade, self._tell)

    def _engine_key(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        return building.state(self._claimed(), _text(header, "digest"))

    def _place_engine(self, header: Dict[str, Any], payload: bytes) -> Reply:
        layout = self._claimed()
        attachment = attachments.Attachment(payload, _text(header, "signature").encode())
        return attachments.place(layout, attachment, _text(header, "digest"))

    def _build_engine(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        layout = self._claimed()
        return self._followed(building.build(layout, _text(header, "digest")))

    def _engines(self, _header: Dict[str, Any], _payload: bytes) -> Reply:
        return {"engines": attachments.listed(self._layout)}

    def _read_engine(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        size = min(_count(header, "size"), frames.MAX_PAYLOAD)
        key, offset = _text(header, "key"), _count(header, "offset")
        data = engines.read(self._layout, key, offset, size)
        return Frame({"size": len(data)}, data)

    def _activate(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        return activate.activate(self._claimed(), header["digest"])

    def _bench(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        layout = self._claimed()
        return self._followed(measure.run(layout, header["plan"], header["data"]))

    def _probe(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        layout = self._claimed()
        model = measure.Model(_text(header, "model"), dict(header["manifest"]))
        return self._followed(measure.probe(layout, header["plan"], header["data"], model))

    def _selftest(self, _header: Dict[str, Any], _payload: bytes) -> Reply:
        return self._followed(measure.selftest(self._claimed()))

    def _device(self, _header: Dict[str, Any], _payload: bytes) -> Reply:
        return machine.facts()

    def _followed(self, run: Generator[Dict[str, Any], None, None]) -> Dict[str, Any]:
        """Progress passed on; the last body is the reply."""
        last: Dict[str, Any] = {}
        with closing(run) as told:
            for last in told:
                if "progress" in last:
                    self._send(Frame(last))
        return last

    def _read(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        size = min(_count(header, "size"), frames.MAX_PAYLOAD)
        data = measure.read(self._layout, header["name"], _count(header, "offset"), size)
        return Frame({"size": len(data)}, data)

    def _spool(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        spool = Spool(self._layout.spool)
        records = spool.read(max(1, min(_count(header, "limit"), 10000)), PULL_BYTES)
        lines = [json.dumps(record, separators=(",", ":")).encode() for record in records]
        body = {"spool": spool.identity(), "records": len(lines), "dropped": spool.dropped()}
        return Frame(body, b"\n".join(lines))

    def _acknowledge(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        return {"freed": Spool(self._layout.spool).acknowledge(_count(header, "seq"))}

    def _logs(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        lines = max(1, min(_count(header, "lines"), 1000))
        return {"text": activate.log_tail(self._layout, "supervisor", lines)}


def _text(header: Dict[str, Any], name: str) -> str:
    value = header.get(name)
    if not isinstance(value, str):
        raise Invalid("the request needs the text %r" % name, str(header.get("op")))
    return value


def _count(header: Dict[str, Any], name: str) -> int:
    value = header.get(name)
    if type(value) is not int or value < 0:
        raise Invalid("the request needs the number %r" % name, str(header.get("op")))
    return value


def _as_problem(error: Exception, layout: Layout) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, BadFrame):
        return Invalid("the answer is too long for a frame")
    if isinstance(error, OSError):
        return _as_refusal(error, layout)
    what = "%s: %s" % (type(error).__name__, error)
    if isinstance(error, (KeyError, TypeError, ValueError, AttributeError)):
        return Invalid("the request is malformed: " + what)
    return Problem("unexpected: " + what)


def _as_refusal(error: OSError, layout: Layout) -> Problem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = blobs.free(layout) / 1e6
        hint = "free some: %.0f MB may be used" % free
        return Refusal("the device's disk is full", str(error.filename or layout.root), hint)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Refusal(str(error), "", "the session's user must be root on a writable disk")
    return Problem(str(error))
