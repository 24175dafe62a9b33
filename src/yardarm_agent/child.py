"""Programs of a release that are run to their end, within bounds of memory and time."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import time
from typing import IO, Any, Dict, Generator, Iterator, Optional, Sequence

from yardarm_wire.problems import NotVerified

MAX_LINE = 256 * 1024
TAIL = 4096
PATIENCE = 10.0
HOST = 0
"""stdin of a session: the host is at its other end."""

SILENCE = 270.0
"""Seconds without a line after which a run is given up: before the host loses patience."""


BEAT = 20.0
"""Seconds after which a host is told that a silent run goes on."""

LEAN = "end what else runs there, or let it have swap; see `dmesg` on the device"


def answer(argv: Sequence[str], errors: str, timeout: float) -> Dict[str, Any]:
    """Run to the end and return the JSON object that was printed last.

    Args:
        errors: the file for its stderr.

    Raises:
        NotVerified: it failed without an answer, or took longer than `timeout` seconds.
    """
    body: Any = None
    with Child(argv, errors) as child:
        for line in child.lines(deadline=time.monotonic() + timeout):
            body = _parsed(line) if line.strip() else body
        code = child.wait()
    if not isinstance(body, dict):
        raise NotVerified("the release failed with code %d" % code, "", _tail(errors))
    return body


def follow(
    argv: Sequence[str],
    errors: str,
    silence: float = SILENCE,
    kept: Sequence[int] = (),
) -> Generator[Dict[str, Any], None, None]:
    """Run and yield each JSON object as it is printed; other lines are passed over.

    The program is killed when the caller stops listening (closes the generator).

    Args:
        kept: descriptors of ours that it inherits.

    Raises:
        NotVerified: it exits with another code than 0, or says nothing for `silence` seconds.
        BrokenPipeError: the host hung up.
    """
    with Child(argv, errors, host=HOST, kept=kept) as child:
        for line in child.lines(silence=silence):
            body = _parsed(line)
            if isinstance(body, dict):
                yield body
        code = child.wait()
    if code == -signal.SIGKILL:
        raise NotVerified("the run was killed, as a system does that has no memory left", "", LEAN)
    if code != 0:
        raise NotVerified("the run failed with code %d" % code, "", _tail(errors))


def report(
    argv: Sequence[str], errors: str, timeout: float, beat: float = BEAT
) -> Generator[Optional[Dict[str, Any]], None, None]:
    """Run what says nothing for long: yield None every `beat` seconds, and at last the JSON
    object that was printed last, whatever the exit code.

    Raises:
        NotVerified: it ended without one, or took longer than `timeout` seconds.
        BrokenPipeError: the host hung up.
    """
    last: Any = None
    with Child(argv, errors, host=HOST) as child:
        for line in child.lines(deadline=time.monotonic() + timeout, beat=beat):
            if line:
                last = _parsed(line)
            else:
                yield None
        code = child.wait()
    if not isinstance(last, dict):
        raise NotVerified("the run failed with code %d" % code, "", _tail(errors))
    yield last


class Child:
    """A running program; it doesn't outlive the block. stderr goes to the file `errors`.

    `host` is a descriptor whose hang-up ends the run: nobody waits for it any more.
    """

    def __init__(
        self,
        argv: Sequence[str],
        errors: str,
        host: Optional[int] = None,
        kept: Sequence[int] = (),
    ) -> None:
        with open(errors, "wb") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                pass_fds=kept,
            )
        assert self._process.stdout is not None
        self._output: IO[bytes] = self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        self._host = host if host is not None and _is_channel(host) else None
        if self._host is not None:
            self._poll.register(self._host, 0)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()

    def wait(self) -> int:
        """The exit code, once stdout was closed; who closes it and stays is killed."""
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise NotVerified("the release closed its output and did not end") from None

    def lines(
        self,
        deadline: Optional[float] = None,
        silence: Optional[float] = None,
        beat: Optional[float] = None,
    ) -> Iterator[bytes]:
        """What it prints, a line at a time, until it closes stdout.

        Args:
            beat: b"" is yielded every so many seconds that it is silent.

        Raises:
            NotVerified: the deadline passed, it was silent for too long, or a line is longer
                than `MAX_LINE`.
        """
        begun, pending = time.monotonic(), b""
        while True:
            limit = deadline if silence is None else time.monotonic() + silence
            if beat is not None and self._is_silent(beat, limit):
                yield b""
                continue
            part = self._part(limit, begun)
            whole = (pending + part).split(b"\n")
            pending = whole.pop()
            yield from whole
            if len(pending) > MAX_LINE:
                raise NotVerified("the release printed a line of more than %d bytes" % MAX_LINE)
            if not part:
                if pending:
                    yield pending
                return

    def _is_silent(self, seconds: float, limit: Optional[float]) -> bool:
        late = limit is not None and time.monotonic() + seconds > limit
        return not late and not self._poll.poll(1e3 * seconds)

    def _part(self, limit: Optional[float], begun: float) -> bytes:
        left = None if limit is None else 1e3 * max(0.0, limit - time.monotonic())
        ready = [descriptor for descriptor, _event in self._poll.poll(left)]
        if self._host in ready:
            raise BrokenPipeError("the host hung up")
        if not ready:
            seconds = time.monotonic() - begun
            raise NotVerified("the release gave no answer; it was ended after %.0f s" % seconds)
        return os.read(self._output.fileno(), 1 << 16)


def _is_channel(descriptor: int) -> bool:
    """A pipe or socket, whose other end can hang up."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError):
        return None


def _tail(path: str) -> str:
    with open(path, "rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - TAIL))
        text = log.read().decode("utf-8", "replace").strip()
    return "\n".join(text.splitlines()[-4:])
