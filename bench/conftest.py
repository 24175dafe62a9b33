"""Benchmarks hand in their figures here; at the end they are written down and judged.

A new benchmark is a file `bench/GROUP/bench_*.py`, with tests that take `figure`, and
`benchmark` for repeated timings. A peer is measured in the same test, in turn with ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from figures import Bar, Figure, Hand, Peer, table, write

FIGURES = pytest.StashKey[list[Figure]]()
HERE = Path(__file__).parent
FELL_SHORT = 5


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Hand:
    """Hand in a figure: `figure("image/warm", 0.3, "s", Bar("value", 0.5))`."""
    figures = request.config.stash[FIGURES]

    def hand(name: str, value: float, unit: str, bar: Bar, peer: Peer | None = None) -> None:
        figures.append(Figure(name, value, unit, bar, *(peer or (None, None))))

    return hand


@pytest.fixture(scope="session")
def program() -> Path:
    return Path(sys.executable).parent / "yardarm"


@pytest.fixture(scope="session")
def example() -> Path:
    """The example project, with its model and data."""
    folder = HERE.parent / "examples" / "text-angle"
    subprocess.run([sys.executable, folder / "prepare.py"], check=True, timeout=300)
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thread pools that wait for one another would make CPU seconds a matter of luck."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setitem(os.environ, name, "1")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    figures = session.config.stash[FIGURES]
    if figures:
        write(HERE / "results.json", figures)
    if exitstatus == 0 and not all(figure.meets for figure in figures):
        session.exitstatus = FELL_SHORT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line("\n" + table(terminalreporter.config.stash[FIGURES]))
