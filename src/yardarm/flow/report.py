"""The newest result of a project as a report."""

from __future__ import annotations

from pathlib import Path

from yardarm import project, report
from yardarm.measure import results
from yardarm.report import Written


def write_report(where: Path, output: Path | None = None) -> Written:
    """Write report.html and report.md of the newest result of the project at `where`.

    Args:
        output: the folder for them; default: the result's own.

    Raises:
        InvalidInput: the project is not valid, or nothing was measured yet.
    """
    root = results.folder_of(project.load(where).root)
    return report.write(results.latest(root), output or (root / results.LATEST).resolve())
