"""The bundle of a project, and optionally its files in a folder to look at or carry on."""

from __future__ import annotations

import tempfile
from pathlib import Path

from yardarm import compile as stage
from yardarm import report
from yardarm.compile import Compiled, Explanation
from yardarm.errors import UsageError
from yardarm.events import Sink, silent
from yardarm.flow.target import check_folders
from yardarm.flow.workspace import Workspace, workspace

REPORT = "report.html"
OURS = "manifest.json"


def compile_project(
    where: Path,
    profile: str | None,
    sink: Sink = silent,
    *,
    output: Path | None = None,
    memory_limit: int | None = None,
) -> Compiled:
    """Compile the project at `where`; with `output`, write the bundle's files there.

    Args:
        memory_limit: bytes of activations that calibration may hold at a time.

    Raises:
        UsageError, InvalidInput, Busy: as `workspace` does, or `output` is in use.
        YardarmError: as `yardarm.compile.compiled` does.
    """
    if output:
        check_target(output)
    with workspace(where, profile, "yardarm compile") as opened:
        made = stage.compiled(
            opened.project, opened.profile, opened.store, sink, memory_limit=memory_limit
        )
        if output:
            export(made, opened, output)
    return made


def export(
    made: Compiled, opened: Workspace, output: Path, explanation: Explanation | None = None
) -> None:
    """Replace the folder `output` by the bundle's files and a report: all of them or none."""
    check_target(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as beside:
        fresh = Path(beside) / "new"
        fresh.mkdir()
        stage.export(opened.store, made.bundle, fresh)
        statistics = opened.store.read_json(made.bundle.blobs["statistics.json"].digest)
        told = explanation.to_json() if explanation else None
        page = report.render_compile(made.bundle.manifest, statistics, told)
        (fresh / REPORT).write_text(page, encoding="utf-8")
        if output.exists():
            output.rename(Path(beside) / "old")
        fresh.rename(output)


def check_target(output: Path) -> None:
    """A folder that isn't a bundle's is somebody's: it is not replaced."""
    check_folders(output)
    if not output.exists() and not output.is_symlink():
        return
    names = {entry.name for entry in output.iterdir()} if output.is_dir() else {""}
    known = {"model.onnx", OURS, "statistics.json", "golden.npz", REPORT}
    if output.is_symlink() or not names <= known:
        raise UsageError(
            "it is there already and holds something else",
            where=str(output),
            hint="name a new folder, or one that an earlier compile wrote",
        )
