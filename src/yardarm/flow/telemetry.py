"""Telemetry of a device, fetched over the same session that deploys."""

from __future__ import annotations

from pathlib import Path

from yardarm import paths
from yardarm import telemetry as stage
from yardarm.events import Note, Sink, silent
from yardarm.flow.device import agent, device
from yardarm.telemetry import Pulled


def pull(host: str, sink: Sink = silent) -> Pulled:
    """Fetch a device's records, keep them on this machine, and release them there.

    Profiles in the present folder count too.

    Raises:
        UsageError, Unreachable, VerificationFailed, Refused: as `device` does.
    """
    with device(host, sink, beside=Path()) as opened, agent(opened) as session:
        if opened.emulated:
            sink(Note("what it says of CPU, memory and disk is the host's", "warning"))
        return stage.pull(session, paths.state() / "telemetry")
