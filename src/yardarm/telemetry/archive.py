"""Fetched records on this machine: a line of JSON each, a file for each spool."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yardarm.store import exclusive
from yardarm_wire.files import FILES

Record = dict[str, Any]

TAIL = 1 << 17
"""Bytes from the end within which the last record must begin; records have ≤ 64 KiB."""


class Archive:
    """The records of one device's spool, in `<host>-<spool>.jsonl`."""

    def __init__(self, folder: Path, host: str, spool: str) -> None:
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{host}-{spool}")
        self.file = folder / f"{name.lstrip('.')}.jsonl"

    def last(self) -> int:
        """Number of the newest record; 0: none yet."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL))
                lines = stream.read().splitlines()
        except FileNotFoundError:
            return 0
        return next((number for number in map(_number, reversed(lines)) if number), 0)

    def append(self, records: Sequence[Record]) -> None:
        """Add the records that are new, and make them durable.

        Raises:
            Busy: another process has been adding records of this spool for ten seconds.
        """
        lock = self.file.with_suffix(".lock")
        with exclusive(lock, "keep telemetry", wait=10.0):
            known = self.last()
            new = [record for record in records if record["seq"] > known]
            with self.file.open("ab") as stream:
                if not _ends_with_newline(self.file):
                    stream.write(b"\n")  # an earlier run was killed inside a line
                for record in new:
                    stream.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
                stream.flush()
                FILES.sync(stream.fileno())
            if not known:
                FILES.sync_folder(str(self.file.parent))  # else a new file's name may be lost

    def after(self, number: int) -> list[Record]:
        """The kept records that follow `number`, oldest first, whoever fetched them."""
        try:
            lines = self.file.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if _number(line) > number]


def _ends_with_newline(file: Path) -> bool:
    with file.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def _number(line: bytes) -> int:
    """The record's number; 0 for a torn line."""
    try:
        return int(json.loads(line)["seq"])
    except (ValueError, KeyError, TypeError):
        return 0
