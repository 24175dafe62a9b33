"""From a model to a report: compile, image, deploy, bench, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yardarm import report
from yardarm.events import Sink, silent
from yardarm.flow import bench as benching
from yardarm.flow import deploy as deploying
from yardarm.flow.bench import Benched
from yardarm.flow.deploy import Deployed
from yardarm.flow.device import at_work
from yardarm.report import Written


@dataclass(frozen=True)
class Shipped:
    """What was deployed, what was measured, and where the report is."""

    deployed: Deployed
    benched: Benched
    report: Written


def ship(where: Path, host: str, sink: Sink = silent, *, profile: str | None = None) -> Shipped:
    """Take the project at `where` to `host`, and prove that it works there.

    A release that ran there already, and was measured, is not measured again.

    Args:
        profile: the device profile to work for; default: what the device says it is.

    Raises:
        YardarmError: of the step that failed; see each step. Repeating goes on from there.
    """
    with at_work(where, host, sink, profile=profile, purpose="yardarm ship") as (opened, work):
        made = deploying.release(opened, work, sink)
        deployed = deploying.deploy(opened, work, made, sink)
        found = None
        if not deployed.deployment.changed:
            found = benching.known(opened, work, made, sink)
        benched = found or benching.bench(opened, work, made, sink)
    rendered = report.write(benched.result, benched.folder)
    return Shipped(deployed, benched, rendered)
