"""The unprivileged process that samples the device into the spool."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, Dict, Optional

from yardarm_agent import collectors, daemon
from yardarm_agent.layout import Layout
from yardarm_agent.spool import Spool

NOBODY = 65534
INTERVAL = 5.0
SHORTEST = 0.05


class _Stop(Exception):
    """SIGTERM came."""


def run(layout: Layout) -> int:
    """Sample until SIGTERM. Exit code 0; 1 when another sampler is there already."""
    lock = daemon.hold(layout, "telemetry", _version(layout.active(layout.current)))
    if lock is None:
        return 1
    settings = _settings(layout)
    _drop_privileges(layout)
    counters = os.path.join(layout.run, "service")
    chosen = collectors.for_settings(settings, layout.root, counters)
    spool = Spool(layout.spool)
    try:
        signal.signal(signal.SIGTERM, _stop)
        _sample(spool, chosen, float(settings.get("interval", INTERVAL)))
    except _Stop:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        spool.close()
    return 0


def ensure(layout: Layout, release: str) -> None:
    """See to it that a sampler of the present agent runs, with the settings of `release`."""
    owner = daemon.holder(layout, "telemetry")
    if owner is None or owner[1] != _version(release):
        daemon.stop(layout, "telemetry")
        daemon.start(layout, "telemetry")


def _version(release: Optional[str]) -> str:
    return "%s %s" % (daemon.identity(), release)


def _sample(spool: Spool, chosen: Any, interval: float) -> None:
    while True:
        begun = time.monotonic()
        try:
            spool.append(collectors.sample(chosen))
        except (OSError, ValueError) as error:  # a full disk may get room again
            sys.stderr.write("a sample is lost: %s\n" % error)
            sys.stderr.flush()
        time.sleep(max(SHORTEST, begun + interval - time.monotonic()))


def _settings(layout: Layout) -> Dict[str, Any]:
    """From the current release, signed with it; empty before the first one."""
    try:
        with open(os.path.join(layout.current, "release.json"), "rb") as stream:
            settings: Dict[str, Any] = json.load(stream)["telemetry"]
    except FileNotFoundError:
        return {}
    return settings


def _drop_privileges(layout: Layout) -> None:
    if os.geteuid() != 0:
        return
    os.chown(layout.spool, NOBODY, NOBODY)
    for name in os.listdir(layout.spool):
        try:  # never through a link, which whoever is nobody may have put there
            os.chown(os.path.join(layout.spool, name), NOBODY, NOBODY, follow_symlinks=False)
        except FileNotFoundError:
            pass  # the session released it just now
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _stop(_number: int, _frame: Optional[FrameType]) -> None:
    raise _Stop
