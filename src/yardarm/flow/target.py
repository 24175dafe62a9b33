"""Where a user wants files, looked at before the work that they are the end of."""

from __future__ import annotations

from pathlib import Path

from yardarm.errors import UsageError


def check_folders(output: Path) -> None:
    """Raises UsageError where `output` can't come to be, since a file is in its path."""
    there = next(part for part in output.absolute().parents if part.exists())
    if not there.is_dir():
        raise UsageError("it is a file, not a folder", where=str(there), hint="name another place")


def check_file(output: Path, example: str) -> None:
    """Raises UsageError also where `output` is a folder; `example` is a name for the file."""
    check_folders(output)
    if output.is_dir():
        raise UsageError(
            "it is a folder", where=str(output), hint=f"name a file, such as {output / example}"
        )
