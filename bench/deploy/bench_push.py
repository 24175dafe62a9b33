"""The push and the session, over a real sshd on this machine, beside `ssh cat`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import cost
import sshd
from figures import Bar, Hand
from yardarm import deploy
from yardarm.artifacts import MEDIA_OCTETS, Address, Descriptor
from yardarm.events import silent
from yardarm.remote import Session, connect, open_session
from yardarm.store import Store

SIZE = 200_000_000
ROUNDS = 3
TRIPS = 200


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with sshd.serving(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@pytest.fixture
def blob(tmp_path: Path) -> tuple[Store, Descriptor]:
    """Bytes that nothing compresses, so that the link's own work is what is measured."""
    store = Store(tmp_path / "store")
    return store, store.put(os.urandom(SIZE), MEDIA_OCTETS)


def bench_push(
    figure: Hand, address: Address, blob: tuple[Store, Descriptor], tmp_path: Path
) -> None:
    """In turn with `ssh cat >`; CPU is that of this machine, so of both ends."""
    store, made = blob
    ours, theirs = [], []
    for turn in range(ROUNDS):
        root = tmp_path / f"device{turn}"
        ours.append(_both_ends(partial(_push, address, store, made, root)))
        theirs.append(_both_ends(partial(_ssh_cat, address, store.path(made.digest), tmp_path)))
    rate, peer_rate = (SIZE / 1e6 / min(wall for wall, _ in turns) for turns in (ours, theirs))
    figure("deploy/push", rate, "MB/s", Bar("ratio", 0.9, at_most=False), ("ssh cat", peer_rate))
    cpu, peer_cpu = (min(cpu for _, cpu in turns) for turns in (ours, theirs))
    per_gb = 1e9 / SIZE
    figure(
        "deploy/push-cpu",
        cpu * per_gb,
        "CPU s/GB",
        Bar("ratio", 1.5),
        ("ssh cat", peer_cpu * per_gb),
    )


def bench_round_trip(benchmark: Any, figure: Hand, address: Address, tmp_path: Path) -> None:
    with connect(address) as connection:
        placed = deploy.place(connection, str(tmp_path / "device"))
        with open_session(connection, placed.path, str(tmp_path / "device")) as session:
            trips: list[float] = []

            def trip() -> None:
                begun = time.perf_counter()
                session.request("hello", protocol=1)
                trips.append(time.perf_counter() - begun)

            benchmark.pedantic(trip, rounds=TRIPS)
            command: list[float] = []
            for _ in range(20):
                begun = time.perf_counter()
                connection.run("true")
                command.append(time.perf_counter() - begun)
    figure(
        "deploy/round-trip",
        1e3 * sorted(trips)[TRIPS // 2],
        "ms",
        Bar("ratio", 0.5),
        ("ssh command on an open connection", 1e3 * sorted(command)[10]),
    )


def _push(address: Address, store: Store, made: Descriptor, root: Path) -> None:
    with connect(address) as connection:
        placed = deploy.place(connection, str(root))
        with open_session(connection, placed.path, str(root)) as session:
            _send(session, store, made)


def _send(session: Session, store: Store, made: Descriptor) -> None:
    deploy.claim(session, "bench")
    planned = deploy.survey(session, {made.digest: made.size})
    deploy.transfer(session, store, planned, silent)


def _ssh_cat(address: Address, file: Path, folder: Path) -> None:
    """The peer also makes what arrived durable, as the agent does."""
    target = folder / "copy"
    login = f"{address.user}@{address.hostname}"
    options = f"-p {address.port} -i {address.identity} -o UserKnownHostsFile={address.known_hosts}"
    cost.of(
        [
            "sh",
            "-c",
            f"ssh -F none {options} {login} 'cat > {target}; sync {target}' < {file}",
        ]
    )
    target.unlink()


def _both_ends(action: Callable[[], None]) -> tuple[float, float]:
    """(wall, CPU) in seconds; the machine's CPU, since sshd is no child of ours."""
    cpu, begun = _busy(), time.perf_counter()
    action()
    return time.perf_counter() - begun, _busy() - cpu


def _busy() -> float:
    """CPU seconds that this machine has spent so far, without idle and waiting."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
