"""The host's side of the session protocol that the agent on the device speaks.

Frames are those of `yardarm_wire.frames`; `docs/session-protocol.md` lists the messages.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import paramiko

from yardarm import errors
from yardarm.remote.connection import Connection
from yardarm.remote.failures import lost
from yardarm_wire import frames
from yardarm_wire.frames import BadFrame, Frame

SILENCE = 300.0
"""Seconds without a byte after which a device counts as lost."""

_KINDS: Mapping[str, type[errors.YardarmError]] = {
    kind.__name__: kind
    for kind in (
        errors.InvalidInput,
        errors.Refused,
        errors.VerificationFailed,
        errors.Unsupported,
        errors.Busy,
    )
}


class Session:
    """Requests to the agent over one channel. Replies come in the order of the requests."""

    def __init__(self, connection: Connection, channel: paramiko.Channel) -> None:
        self.address = connection.address
        self._channel = channel
        channel.settimeout(SILENCE)
        self._replies = cast(BinaryIO, channel.makefile("rb", 1 << 16))

    def send(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        """Send a request without waiting; its reply is due from `receive`."""
        try:
            self._channel.sendall(frames.encode(Frame(dict(header), payload)))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._broken(error) from None

    def receive(self) -> Frame:
        """The next reply.

        Raises:
            Unreachable: the connection broke.
            YardarmError: what the agent refused, as the class that it named.
        """
        try:
            frame = frames.read(self._replies)
            if frame is None:
                raise EOFError
        except (OSError, EOFError, BadFrame, paramiko.SSHException) as error:
            raise self._broken(error) from None
        if "error" in frame.header:
            raise _as_error(frame.header["error"], self.address.name)
        return frame

    def request(self, operation: str, payload: bytes = b"", /, **arguments: Any) -> Frame:
        """Send one request and wait for its reply."""
        self.send({"op": operation, **arguments}, payload)
        return self.receive()

    def watch(self, operation: str, **arguments: Any) -> Iterator[Frame]:
        """Send a request whose reply is preceded by progress frames; yields all of them."""
        self.send({"op": operation, **arguments})
        while True:
            frame = self.receive()
            yield frame
            if "progress" not in frame.header:
                return

    def _broken(self, error: BaseException) -> errors.YardarmError:
        """What ended the session: the agent's last words, or the lost connection."""
        words = b""
        if self._channel.recv_stderr_ready():
            words = self._channel.recv_stderr(4096)
        if isinstance(error, EOFError | BadFrame) and words:
            last = words.decode(errors="replace").strip().splitlines()[-1]
            return errors.YardarmError(f"the agent stopped: {last}", where=self.address.name)
        return lost(self.address, error)


def _as_error(body: Mapping[str, Any], host: str) -> errors.YardarmError:
    kind = _KINDS.get(str(body.get("kind")), errors.YardarmError)
    where = f"{host}: {body['where']}" if body.get("where") else host
    return kind(str(body.get("what", "failed")), where=where, hint=str(body.get("hint", "")))


@contextmanager
def open_session(connection: Connection, agent: str, root: str) -> Iterator[Session]:
    """Start the placed agent's session and greet it.

    Args:
        agent: path of agent.pyz on the device; `root`: Yardarm's folder there.

    Raises:
        Refused: the agent speaks another protocol version.
    """
    command = shlex.join(["python3", "-I", "-S", agent, "session", "--root", root])
    channel = connection.channel(f"exec {command}")
    try:
        session = Session(connection, channel)
        theirs = session.request("hello", protocol=frames.PROTOCOL).header["protocol"]
        if theirs != frames.PROTOCOL:
            raise errors.Refused(
                f"the agent speaks protocol {theirs}, this host {frames.PROTOCOL}",
                where=connection.address.name,
                hint="run `yardarm deploy` to replace the agent",
            )
        yield session
    finally:
        channel.close()
