"""An agent's folder, the agent as one file, and sessions over real pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yardarm.deploy.agent import archive
from yardarm_agent.layout import Layout
from yardarm_wire import frames
from yardarm_wire.frames import Frame


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(str(tmp_path / "root"))
    made.prepare()
    return made


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """agent.pyz, in a folder that any user may enter."""
    file = tmp_path_factory.mktemp("agent") / "agent.pyz"
    file.write_bytes(archive())
    return file


class Pipes:
    """The host's side of a session whose agent is a real process."""

    def __init__(self, agent: Path, root: str, python: str, path: str) -> None:
        self.process = subprocess.Popen(
            [python, "-I", "-S", str(agent), "session", "--root", root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"},
        )

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self.raw(frames.encode(Frame(header, payload)))

    def raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self) -> Frame:
        assert self.process.stdout is not None
        frame = frames.read(self.process.stdout)
        assert frame is not None, "the session ended"
        return frame

    def ask(self, op: str, payload: bytes = b"", /, **fields: Any) -> Frame:
        self.send({"op": op, **fields}, payload)
        return self.receive()

    def refused(self, op: str, payload: bytes = b"", /, **fields: Any) -> tuple[str, str]:
        """Kind and text of the error that a request gets."""
        header = self.ask(op, payload, **fields).header
        assert set(header) == {"error"}, header
        return header["error"]["kind"], header["error"]["what"]

    def end(self) -> tuple[int, str]:
        """Close stdin; exit code and stderr."""
        _out, err = self.process.communicate(timeout=20)
        return self.process.returncode, err.decode()


Open = Callable[..., Pipes]


@pytest.fixture
def session(agent: Path, layout: Layout) -> Iterator[Open]:
    """Open sessions on the layout's root. Each must end well: no traceback, code 0."""
    opened: list[Pipes] = []

    def start(
        python: str = sys.executable, root: str = layout.root, path: str = "/nowhere"
    ) -> Pipes:
        opened.append(Pipes(agent, root, python, path))
        return opened[-1]

    yield start
    for pipes in opened:
        if pipes.process.returncode is None:
            assert pipes.end() == (0, "")
