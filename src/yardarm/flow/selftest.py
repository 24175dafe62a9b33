"""A selftest on a device: everything that the runtime can do there, tried with a small model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yardarm import deploy
from yardarm.deploy.zipped import zipped
from yardarm.errors import Refused, VerificationFailed
from yardarm.events import Sink, silent, step
from yardarm.flow.device import Device, agent, device, newer_than
from yardarm.remote import Connection, Session

PACKAGES = ("yardarm_runtime", "yardarm_wire")
TIMEOUT = 1200.0
"""Seconds; a selftest builds several small engines."""

NO_NUMPY = 66

OWN_PYTHON = "the device's own python3"

_RUN = f"""
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -c 'import io, sys, zipfile
zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())).extractall(sys.argv[1])' "$folder"
python3 -c 'import numpy' 2>/dev/null || exit {NO_NUMPY}
cd "$folder"
python3 -m yardarm_runtime selftest --json --engines engines --device device.json </dev/null
"""


@dataclass(frozen=True)
class Tested:
    """A runtime's report (`yardarm.selftest/1`), and what it ran in.

    Attributes:
        inside: "release …", or the device's own python3.
        emulated: the device is virtual, and its times mean nothing.
    """

    host: str
    profile: str
    inside: str
    emulated: bool
    report: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        about = {"host": self.host, "profile": self.profile, "inside": self.inside}
        return {**about, "emulated": self.emulated, **self.report}


def run(host: str, sink: Sink = silent) -> Tested:
    """Test `host`: inside the release that runs there, or where none does with the device's own
    python3, to which the runtime is lent.

    Raises:
        Refused: no release runs there, and its python3 has no numpy.
        VerificationFailed: the runtime ended without a report. Busy: another session works there.
        UsageError, Unreachable: as `device` does.
    """
    with device(host, sink, beside=Path()) as opened, agent(opened) as session:
        deploy.claim(session, "yardarm bench --selftest")
        with step(sink, "selftest", "selftest") as running:
            current = session.request("status").header["current"]
            if current:
                inside = f"release {current[7:19]}"
                report = _inside(session, running.advance)
            else:
                inside = OWN_PYTHON
                report = _lent(opened.connection, session.request("device").header)
            running.detail = f"inside {inside}"
    return _tested(host, opened, inside, report)


def _tested(host: str, opened: Device, inside: str, report: dict[str, Any]) -> Tested:
    if not isinstance(report.get("steps"), list) or not isinstance(report.get("ok"), bool):
        raise VerificationFailed("the selftest's report can't be read", where=host)
    return Tested(host, opened.profile.name, inside, opened.emulated, report)


def _inside(session: Session, advance: Any) -> dict[str, Any]:
    with newer_than(session, "test itself"):
        for frame in session.watch("selftest"):
            told = frame.header.get("progress")
            if told:
                advance(told["done"], told["total"], told["phase"])
    report: dict[str, Any] = frame.header["report"]
    return report


def _lent(connection: Connection, facts: Any) -> dict[str, Any]:
    data = zipped(PACKAGES, {"device.json": json.dumps(dict(facts)).encode()})
    done = connection.run(_RUN, timeout=TIMEOUT, stdin=data)
    host = connection.address.name
    if done.code == NO_NUMPY:
        raise Refused(
            "no release runs there, and the device's python3 has no numpy, which the runtime needs",
            where=host,
            hint=f"yardarm deploy {host}, or on the device: apt-get install python3-numpy",
        )
    try:
        report: dict[str, Any] = json.loads(done.stdout.decode().strip().splitlines()[-1])
    except (ValueError, IndexError):
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise VerificationFailed(
            f"the runtime's selftest failed with code {done.code}",
            where=host,
            hint="\n".join(words[-4:]),
        ) from None
    return report
