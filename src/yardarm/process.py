"""The one door to other programs on this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yardarm.errors import YardarmError


@dataclass(frozen=True)
class Completed:
    """What a program left: exit code (negative: killed by that signal), stdout, stderr."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")


class ProcessFailed(YardarmError):
    """A program failed, is missing or took too long."""


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float = 600.0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> Completed:
    """Run a program to its end.

    Args:
        timeout: seconds; the program is killed after them.
        env: variables added to ours.
        check: raise when it exits with another code than 0.

    Raises:
        ProcessFailed: program or `cwd` not found, timed out, or (with `check`) failed; the
            hint quotes the end of its stderr.
    """
    name = shlex.join(argv[:3])
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            timeout=timeout,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except (FileNotFoundError, NotADirectoryError):
        if cwd is not None and not cwd.is_dir():
            raise ProcessFailed(f"there is no folder {cwd}", where=name) from None
        raise ProcessFailed(
            f"{argv[0]} is not installed", where=name, hint="`yardarm doctor` says how to get it"
        ) from None
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"took longer than {timeout:g} s and was stopped", where=name) from None
    if check and done.returncode != 0:
        tail = "\n".join(done.stderr.decode(errors="replace").strip().splitlines()[-6:])
        raise ProcessFailed(f"exited with code {done.returncode}", where=name, hint=tail)
    return Completed(done.returncode, done.stdout, done.stderr)
