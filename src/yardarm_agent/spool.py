"""Telemetry records on disk: bounded, checksummed, numbered, released when acknowledged.

A segment `<first number, 16 digits>.seg` holds records: 4 bytes CRC-32 of the body, 4
bytes length (both big-endian), the body (JSON). Only the sampler appends, and only to the
last segment; the session reads, and deletes segments that are acknowledged as a whole.
Appending is synced every `SYNC_EVERY` seconds and before records are handed out, so a
power cut costs at most that much, and no number is ever given to two records that a host
has seen.
"""

from __future__ import annotations

import binascii
import json
import os
import re
import struct
import time
import zlib
from typing import Any, Dict, Iterator, List, Optional, Tuple

from yardarm_wire.files import FILES

_HEAD = struct.Struct(">II")
SUFFIX = ".seg"
_SEGMENT_NAME = re.compile(r"[0-9]{16}\.seg")
SHORTEST_RECORD = _HEAD.size + len('{"seq":1}')
SEGMENT = 256 * 1024
QUOTA = 8 * 1024 * 1024
MAX_RECORD = 64 * 1024
SYNC_EVERY = 60.0


class Spool:
    """The spool in `folder`; `quota` and `segment` in bytes."""

    def __init__(self, folder: str, quota: int = QUOTA, segment: int = SEGMENT) -> None:
        self.folder = folder
        self._quota = quota
        self._segment = segment
        self._stream: Optional[Any] = None
        self._next: Optional[int] = None
        self._synced = 0.0

    def append(self, record: Dict[str, Any]) -> int:
        """Add a record under the next number, which it returns. Oldest segments go when the
        quota is reached; `dropped` counts their unacknowledged records.

        Raises:
            ValueError: the record is too long. OSError: it was not written; the next one is
                appended after a fresh look at what is there.
        """
        number = self._recover() if self._next is None else self._next
        body = json.dumps(dict(record, seq=number), separators=(",", ":")).encode()
        if len(body) > MAX_RECORD:
            raise ValueError("a record of %d bytes is too long" % len(body))
        try:
            self._write(self._writable(number), body)
        except OSError:
            self._forget()
            raise
        self._next = number + 1
        return number

    def _write(self, stream: Any, body: bytes) -> None:
        stream.write(_HEAD.pack(zlib.crc32(body), len(body)) + body)
        stream.flush()
        if time.monotonic() - self._synced > SYNC_EVERY:
            self.sync()

    def _forget(self) -> None:
        """After a failed write part of a record may be in the file: look again."""
        stream, self._stream, self._next = self._stream, None, None
        try:
            if stream is not None:
                stream.close()
        except OSError:
            pass  # what it still had to write is the record that failed

    def sync(self) -> None:
        if self._stream is not None:
            FILES.sync(self._stream.fileno())
        self._synced = time.monotonic()

    def read(self, limit: int, most: int = QUOTA) -> List[Dict[str, Any]]:
        """The oldest records beyond the acknowledged ones, made durable: at most `limit`,
        and at most `most` bytes of them (but one at least)."""
        after, total = self.acknowledged(), 0
        found: List[Dict[str, Any]] = []
        for path in self._segments():
            for size, body in _bodies(path, durable=True):
                record = json.loads(body.decode())
                if record["seq"] <= after:
                    continue
                total += size
                if found and (total > most or len(found) >= limit):
                    return found
                found.append(record)
        return found

    def acknowledge(self, number: int) -> int:
        """Release every record up to `number`; returns how many bytes were freed. A number
        that no record has yet would release those that are still to come, and counts as the
        newest one that there is."""
        number = max(min(number, self._newest()), self.acknowledged())
        FILES.write(os.path.join(self.folder, "acknowledged"), b"%d" % number)
        freed = 0
        segments = self._segments()
        for path, following in zip(segments, segments[1:]):
            if _first(following) <= number + 1:
                freed += _delete(path)
        return freed

    def acknowledged(self) -> int:
        return self._number("acknowledged")

    def dropped(self) -> int:
        """How many records the quota has cost so far."""
        return self._number("dropped")

    def identity(self) -> str:
        """A random name of this spool: its numbers mean nothing in another one."""
        path = os.path.join(self.folder, "identity")
        try:
            with open(path) as stream:
                return stream.read()
        except FileNotFoundError:
            FILES.write(path, binascii.hexlify(os.urandom(8)))
            return self.identity()

    def close(self) -> None:
        if self._stream is not None:
            self.sync()
            self._stream.close()
            self._stream = None

    def _number(self, name: str) -> int:
        try:
            with open(os.path.join(self.folder, name)) as stream:
                return int(stream.read())
        except (FileNotFoundError, ValueError):
            return 0

    def _segments(self) -> List[str]:
        names = sorted(name for name in os.listdir(self.folder) if _SEGMENT_NAME.fullmatch(name))
        return [os.path.join(self.folder, name) for name in names]

    def _newest(self) -> int:
        """Number of the last whole record; that of the acknowledged one when there is none."""
        last = self.acknowledged()
        for path in self._segments()[-1:]:
            last = max(last, _first(path) + _intact(path)[1] - 1)
        return last

    def _recover(self) -> int:
        """Cut a torn tail off the last segment; the number to go on with. It is greater
        than any that the tail's records could have had: a host may have seen them before
        they were damaged."""
        cut = 0
        for path in self._segments()[-1:]:
            end = _intact(path)[0]
            cut = _size(path) - end
            os.truncate(path, end)
        return self._newest() + 1 + cut // SHORTEST_RECORD

    def _writable(self, number: int) -> Any:
        """The last segment, or a new one named by `number` when that is full or not ours."""
        if self._stream is not None and self._stream.tell() < self._segment:
            return self._stream
        self.close()
        self._make_room()
        path = os.path.join(self.folder, "%016d%s" % (number, SUFFIX))
        self._stream = open(path, "ab")
        FILES.sync_folder(self.folder)
        return self._stream

    def _make_room(self) -> None:
        segments = self._segments()
        sizes = [_size(path) for path in segments]
        while segments and sum(sizes) + self._segment > self._quota:
            path = segments.pop(0)
            sizes.pop(0)
            after = self.acknowledged()
            lost = sum(record["seq"] > after for record in _records(path, durable=False))
            FILES.write(os.path.join(self.folder, "dropped"), b"%d" % (self.dropped() + lost))
            _delete(path)


def _first(path: str) -> int:
    return int(os.path.basename(path)[: -len(SUFFIX)])


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _delete(path: str) -> int:
    """Bytes freed; 0 when it went already (the session and the quota may meet)."""
    size = _size(path)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return 0
    return size


def _intact(path: str) -> Tuple[int, int]:
    """Length in bytes and number of the whole records at the segment's start."""
    end = count = 0
    for size, _body in _bodies(path, durable=False):
        end += size
        count += 1
    return end, count


def _records(path: str, durable: bool) -> Iterator[Dict[str, Any]]:
    for _size_of_it, body in _bodies(path, durable):
        yield json.loads(body.decode())


def _bodies(path: str, durable: bool) -> Iterator[Tuple[int, bytes]]:
    """Records of a segment up to the first one that is torn or damaged."""
    try:
        stream = open(path, "rb")
    except FileNotFoundError:
        return
    with stream:
        if durable:
            FILES.sync(stream.fileno())
        while True:
            head = stream.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            check, size = _HEAD.unpack(head)
            # No record is empty: zeros at the end are what a power cut leaves on some disks.
            body = stream.read(size) if size <= MAX_RECORD else b""
            if not body or len(body) != size or zlib.crc32(body) != check:
                return
            yield _HEAD.size + size, body
