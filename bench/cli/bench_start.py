"""How long the command line takes to answer, in CPU time: completion runs it at each Tab."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cost
from figures import Bar, Hand


def bench_help(benchmark: Any, figure: Hand, program: Path) -> None:
    ours: list[float] = []
    peer: list[float] = []

    def in_turn() -> None:
        peer.append(cost.of([sys.executable, "-c", "import typer"]).cpu)

    def once() -> None:
        ours.append(cost.of([program, "--help"]).cpu)

    benchmark.pedantic(once, setup=in_turn, rounds=15)
    beside = ("import typer", 1000 * min(peer))
    figure("cli/help", 1000 * min(ours), "CPU ms", Bar("value", 300), beside)
