"""The start of a device's processes."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from yardarm import process
from yardarm.errors import YardarmError
from yardarm.lab import network
from yardarm.lab.names import Lab
from yardarm.lab.state import State

_SCRIPT = Path(__file__).with_name("boot.sh")


def start(lab: Lab, state: State, qemu_model: str) -> None:
    """Start the device in sessions and namespaces of its own, with nothing of ours open.

    It outlives this process. Returns at once; `await_ssh` tells when it is there.
    """
    own = lab.device(state.name)
    environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
    process.run(
        [
            *("sh", "-c", 'log=$1; shift; exec setsid --fork "$@" </dev/null >"$log" 2>&1'),
            *("sh", str(own / "console.log")),
            *(*environment, f"QEMU_CPU={qemu_model}"),
            *("nsenter", f"--net=/run/netns/{lab.namespace(state.name)}"),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc"),
            *("sh", str(_SCRIPT), state.base, str(own), state.name),
        ],
        timeout=20,
    )


def await_ssh(lab: Lab, state: State, seconds: float = 30.0) -> None:
    """Raises YardarmError with the end of the device's log when it dies or stays silent."""
    begun = time.monotonic()
    while not answers(state.ip):
        waited = time.monotonic() - begun
        if waited > seconds or (waited > 2 and not network.processes(lab.namespace(state.name))):
            log = (lab.device(state.name) / "console.log").read_text(errors="replace")
            last = "\n".join(log.strip().splitlines()[-4:])
            raise YardarmError("the lab device did not start", where=state.name, hint=last)
        time.sleep(0.05)


def answers(ip: str, timeout: float = 2.0) -> bool:
    """Whether an SSH server greets at the address."""
    try:
        with socket.create_connection((ip, 22), timeout=timeout) as stream:
            return stream.recv(4) == b"SSH-"
    except OSError:
        return False
