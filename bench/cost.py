"""What a program costs: CPU seconds, peak memory and wall time of a child process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """CPU in seconds (user and system, children included), wall in seconds, peak in MB."""

    cpu: float
    wall: float
    peak_mb: float


def of(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Cost:
    """Run a program to its end and take the kernel's account of it.

    It is started by a small process of its own: the kernel counts into a peak what the process
    held that it was forked from.

    Raises:
        RuntimeError: it failed; carries the end of what it printed.
    """
    with tempfile.NamedTemporaryFile() as account:
        started = subprocess.run(
            [sys.executable, "-I", "-S", __file__, account.name, *argv],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if started.returncode:
            raise RuntimeError(started.stdout.decode(errors="replace")[-2000:])
        cpu, wall, peak = map(float, account.read().split())
    return Cost(cpu, wall, peak)


def _account(target: str, argv: Sequence[str]) -> int:
    """Run a program, write what it cost to a file, and end as it did."""
    begun = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - begun
    told = (usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1000 * 1.024)
    Path(target).write_text(" ".join(map(str, told)))
    return os.waitstatus_to_exitcode(status)


def anonymous_peak(argv: Sequence[str | Path]) -> float:
    """The most memory that a program held apart from what is in files, in MB.

    Looked at every few milliseconds from outside: the kernel keeps no peak of it.

    Raises:
        RuntimeError: it failed.
    """
    child = subprocess.Popen(
        [*argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    while child.poll() is None:
        peak = max(peak, _anonymous(child.pid))
        time.sleep(0.004)
    if child.returncode:
        raise RuntimeError(f"{argv[0]} ended with {child.returncode}")
    return peak / 1000 * 1.024


def _anonymous(process: int) -> int:
    """RssAnon in KiB; 0 at the process's end."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


if __name__ == "__main__":
    sys.exit(_account(sys.argv[1], sys.argv[2:]))
