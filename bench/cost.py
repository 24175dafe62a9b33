"""What a program costs: CPU seconds, peak memory and wall time of a child process."""

from __future__ import annotations

import os
import subprocess
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

    Raises:
        RuntimeError: it failed; carries the end of what it printed.
    """
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        child = subprocess.Popen(
            [*argv],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            raise RuntimeError(output.read().decode(errors="replace")[-2000:])
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1000 * 1.024)


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
