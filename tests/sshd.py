"""A real sshd of this machine's own kind on the loopback, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from yardarm.artifacts import Address


@contextmanager
def serving(folder: Path) -> Iterator[Address]:
    """The server's address while it runs; `folder` gets its keys."""
    program = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if program is None:
        assert not os.environ.get("CI"), "CI skips nothing, but sshd is not installed"
        pytest.skip("sshd is not installed; scripts/setup installs it on Debian")
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "AuthorizedKeysFile": str(folder / "user.pub"),
        "UsePAM": "no",
        "StrictModes": "no",
        "PidFile": "none",
    }
    options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    command = [program, "-D", "-e", "-f", "/dev/null", "-h", folder / "host", *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            _await(port)
            yield Address(
                name="this",
                hostname="127.0.0.1",
                port=port,
                user=getpass.getuser(),
                identity=folder / "user",
                known_hosts=folder / "known",
            )
        finally:
            server.terminate()


def _await(port: int) -> None:
    for _ in range(100):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("sshd did not start")
