"""Records brought over a session: stored here first, released on the device after that."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from yardarm.remote import Session
from yardarm.telemetry.archive import Archive, Record

BATCH = 2000
MOST_BATCHES = 1000


@dataclass(frozen=True)
class Pulled:
    """Records fetched now, oldest first; how many the device's quota has cost in all; and
    where they are kept."""

    records: tuple[Record, ...]
    dropped: int
    archive: Archive

    @property
    def file(self) -> Path:
        return self.archive.file


def pull(session: Session, folder: Path) -> Pulled:
    """Fetch every record that the device holds. Repeating after a break loses none and
    keeps none twice."""
    found: list[Record] = []
    for _ in range(MOST_BATCHES):
        reply = session.request("spool", limit=BATCH)
        archive = Archive(folder, session.address.name, reply.header["spool"])
        records = [json.loads(line) for line in reply.payload.splitlines()]
        if not records:
            break
        archive.append(records)
        session.request("acknowledge", seq=records[-1]["seq"])
        found += records
    return Pulled(tuple(found), reply.header["dropped"], archive)
