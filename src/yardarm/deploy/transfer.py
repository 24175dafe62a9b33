"""Blobs sent in compressed chunks, several requests ahead of their replies."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from yardarm.deploy.plan import Transfer
from yardarm.digest import of_file
from yardarm.errors import VerificationFailed
from yardarm.remote import Session
from yardarm.store import Store

CHUNK = 1 << 20
WINDOW = 8
"""Requests under way at once: enough to hide a round trip, and bounded in memory."""

LEVEL = 1
"""zlib's fastest level already takes most of what an image has to give."""

WORTHWHILE = 0.95

PROBE = 1 << 15
"""Bytes of a chunk that are tried first: what is compressed already is not tried as a whole."""


def send(
    session: Session, store: Store, transfers: tuple[Transfer, ...], advance: Callable[[int], None]
) -> int:
    """Send blobs and have the device verify each. Returns the bytes that crossed the link.

    Args:
        advance: told how many bytes of content arrived since the last call.

    Raises:
        VerificationFailed: bytes were damaged: on their way, or already in the store. What is
            damaged there is removed before a byte is sent, so that the next run makes it again.
    """
    _check(store, transfers)
    waiting: list[int] = []
    crossed = 0
    for transfer in transfers:
        for header, payload, content in _requests(store, transfer):
            session.send(header, payload)
            crossed += len(payload)
            waiting.append(content)
            if len(waiting) >= WINDOW:
                session.receive()
                advance(waiting.pop(0))
    for content in waiting:
        session.receive()
        advance(content)
    return crossed


def _check(store: Store, transfers: tuple[Transfer, ...]) -> None:
    """Hash what is to be sent. A blob whose bytes are not those of its name is removed: the
    device would refuse it, and keep a part of it that a later push went on from."""
    damaged = []
    for transfer in transfers:
        path = store.path(transfer.digest)
        if not path.is_file() or of_file(path) != transfer.digest:
            path.unlink(missing_ok=True)
            damaged.append(str(path))
    if damaged:
        raise VerificationFailed(
            "a blob of the store was damaged, and is removed",
            where=", ".join(damaged),
            hint="run again: it is made anew",
        )


def _requests(store: Store, transfer: Transfer) -> Iterator[tuple[dict[str, object], bytes, int]]:
    """(header, payload, bytes of content) of each request for one blob, the seal last."""
    offset = transfer.offset
    with store.path(transfer.digest).open("rb") as stream:
        stream.seek(offset)
        while data := stream.read(CHUNK):
            encoding, payload = encode(data)
            yield (
                {
                    "op": "put",
                    "digest": transfer.digest,
                    "size": transfer.size,
                    "offset": offset,
                    "encoding": encoding,
                },
                payload,
                len(data),
            )
            offset += len(data)
    yield {"op": "seal", "digest": transfer.digest}, b"", 0


def encode(data: bytes) -> tuple[str, bytes]:
    """A chunk as it is cheaper to send."""
    for part in (data[:PROBE], data):
        packed = zlib.compress(part, LEVEL)
        if len(packed) >= WORTHWHILE * len(part):
            return "raw", data
    return "zlib", packed
