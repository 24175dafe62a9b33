"""A compiled project explained: where its result departs, what int8 costs and gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yardarm import compile as stage
from yardarm.artifacts import Probe
from yardarm.compile import Compiled, Explanation
from yardarm.events import Sink, silent
from yardarm.flow.compile import check_target, export
from yardarm.flow.device import at_work
from yardarm.flow.probe import probing
from yardarm.flow.workspace import Workspace, workspace


@dataclass(frozen=True)
class Explained:
    """A bundle, and what is to be said of it."""

    made: Compiled
    explanation: Explanation


def explain_project(
    where: Path,
    profile: str | None,
    sink: Sink = silent,
    *,
    output: Path | None = None,
    memory_limit: int | None = None,
) -> Explained:
    """Compile the project at `where` as far as that isn't done, and explain the result.

    With `output` the bundle's files are written there, with the explanation in the report.

    Raises:
        UsageError, InvalidInput, Busy: as `workspace` does, or `output` is in use.
        YardarmError: as `yardarm.compile.compiled` and `yardarm.compile.explain` do.
    """
    if output:
        check_target(output)
    with workspace(where, profile, "yardarm compile") as opened:
        return explained(opened, sink, output=output, memory_limit=memory_limit)


def explain_on(
    where: Path,
    host: str,
    sink: Sink = silent,
    *,
    profile: str | None = None,
    output: Path | None = None,
    memory_limit: int | None = None,
) -> Explained:
    """The same with the times of `host`: candidates are compared by them too, so that the
    bundle may be another one. Nothing is changed there, if a release runs there.

    Raises:
        YardarmError: as `explain_project`, `at_work` and `probing` do.
    """
    if output:
        check_target(output)
    with at_work(where, host, sink, profile=profile, purpose="yardarm compile") as (device, work):
        stage.check_timed(work.profile, host)  # before anything is deployed for it
        with probing(device, work, sink) as probe:
            return explained(work, sink, output=output, probe=probe, memory_limit=memory_limit)


def explained(
    opened: Workspace,
    sink: Sink,
    *,
    output: Path | None = None,
    probe: Probe | None = None,
    memory_limit: int | None = None,
) -> Explained:
    """The same in an opened project; `probe`: the device on which candidates are timed."""
    made = stage.compiled(
        opened.project,
        opened.profile,
        opened.store,
        sink,
        probe=probe,
        memory_limit=memory_limit,
    )
    told = stage.explain(
        opened.project, opened.profile, opened.store, made.bundle, sink, probe=probe
    )
    if output:
        export(made, opened, output, told)
    return Explained(made, told)
