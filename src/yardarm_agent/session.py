"""The session: requests in, replies out, over stdin and stdout of one SSH channel.

Every message is documented in docs/session-protocol.md. A request that fails is answered
with an error; the session goes on. A broken frame ends it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from typing import IO, Any, BinaryIO, Callable, Dict, Iterator, Optional, Union

from yardarm_agent import activate, blobs, daemon, measure, prepare, trust
from yardarm_agent.layout import Layout
from yardarm_agent.spool import Spool
from yardarm_wire import frames
from yardarm_wire.files import FILES
from yardarm_wire.frames import PROTOCOL, BadFrame, Frame
from yardarm_wire.problems import InUse, Invalid, Problem, Refusal

PULL_BYTES = 3 << 20

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
    except BrokenPipeError:
        return 0
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
            "activate": self._activate,
            "bench": self._bench,
            "read": self._read,
            "spool": self._spool,
            "acknowledge": self._acknowledge,
            "logs": self._logs,
        }

    def answer(self, frame: Frame) -> None:
        try:
            self._say(self._dispatch(frame))
        except Problem as problem:
            self._send(Frame({"error": problem.as_json()}))
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            self._send(Frame({"error": _as_problem(error).as_json()}))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = "the request is malformed: %s: %s" % (type(error).__name__, error)
            self._send(Frame({"error": Invalid(what, str(frame.header.get("op"))).as_json()}))

    def close(self) -> None:
        if self._claim is not None:
            self._claim.close()

    def _dispatch(self, frame: Frame) -> Reply:
        operation = self._operations.get(frame.header.get("op", ""))
        if operation is None:
            raise Invalid("unknown request %.40r" % (frame.header.get("op"),))
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
            self._claim = daemon.hold(self._layout, "session", str(header["owner"])[:200])
            if self._claim is None:
                owner = daemon.holder(self._layout, "session") or ["", "another session"]
                raise InUse("busy: %s works on this device" % owner[1], "", "wait for it to end")
            prepare.discard_partial(self._layout)
        return {}

    def _claimed(self) -> Layout:
        if self._claim is None:
            raise Invalid("a claim is needed first")
        return self._layout

    def _trust(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        layout = self._claimed()
        placed = trust.place(layout, str(header["key"]))
        known = trust.device_class(layout)
        if known is None:
            body = json.dumps({"class": str(header["class"])}).encode()
            FILES.write(os.path.join(layout.root, "device.json"), body)
        elif known != header["class"]:
            raise Refusal("this device is %s, not %s" % (known, header["class"]))
        return {"placed": placed}

    def _have(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        """Which blobs are here; refused at once when the missing ones would not fit."""
        layout = self._claimed()
        state = {digest: blobs.arrived(layout, digest) for digest in header["blobs"]}
        missing = sum(
            size - state[digest]["offset"]
            for digest, size in header["blobs"].items()
            if not state[digest]["complete"]
        )
        unpacking = 0
        if "config" in header and not os.path.isdir(layout.image(header["config"])):
            unpacking = int(header["unpacked"])
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
        signed = trust.Signed(payload, str(header["signature"]).encode())
        downgrade = bool(header.get("allow_downgrade"))
        return prepare.prepare(self._claimed(), signed, downgrade, self._tell)

    def _activate(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        return activate.activate(self._claimed(), header["digest"])

    def _bench(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        layout = self._claimed()
        for body in measure.run(layout, header["plan"], header["data"]):
            if "files" in body:
                return body
            self._send(Frame({"progress": body}))
        raise Invalid("the run left no result")

    def _read(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        size = min(int(header["size"]), frames.MAX_PAYLOAD)
        data = measure.read(self._layout, header["name"], int(header["offset"]), size)
        return Frame({"size": len(data)}, data)

    def _spool(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        spool = Spool(self._layout.spool)
        records = spool.read(max(1, min(int(header["limit"]), 10000)))
        lines = []
        size = 0
        for record in records:
            line = json.dumps(record, separators=(",", ":")).encode()
            size += len(line) + 1
            if size > PULL_BYTES:
                break
            lines.append(line)
        body = {"spool": spool.identity(), "records": len(lines), "dropped": spool.dropped()}
        return Frame(body, b"\n".join(lines))

    def _acknowledge(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        return {"freed": Spool(self._layout.spool).acknowledge(int(header["seq"]))}

    def _logs(self, header: Dict[str, Any], _payload: bytes) -> Reply:
        lines = max(1, min(int(header["lines"]), 1000))
        return {"text": activate.log_tail(self._layout, "supervisor", lines)}


def _as_problem(error: OSError) -> Problem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage("/").free / 1e6
        return Refusal(
            "the device's disk is full", str(error.filename or ""), "free some: %.0f MB left" % free
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Refusal(str(error), "", "the session's user must be root on a writable disk")
    return Problem(str(error))
