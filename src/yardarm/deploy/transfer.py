"""Blobs sent in compressed chunks, several requests ahead of their replies."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from yardarm.deploy.plan import Transfer
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
    """
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
