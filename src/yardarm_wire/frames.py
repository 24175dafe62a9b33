"""Frames of the session protocol.

A frame is: 4 bytes header length, 4 bytes payload length (both big-endian), the header
(a JSON object in UTF-8), the payload. Both lengths are bounded, so that a hostile or
broken peer can't make us allocate more than about 5 MiB.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO, Dict, NamedTuple

PROTOCOL = 1
"""Version of the protocol. Both sides say theirs in `hello`; they must be equal."""

MAX_HEADER = 1 << 20
MAX_PAYLOAD = 4 << 20

_LENGTHS = struct.Struct(">II")


class Frame(NamedTuple):
    """One message: a JSON object and bytes."""

    header: Dict[str, Any]
    payload: bytes = b""


class BadFrame(Exception):
    """The peer sent something that is not a frame, or closed in the middle of one."""


def encode(frame: Frame) -> bytes:
    header = json.dumps(frame.header, separators=(",", ":")).encode()
    if len(header) > MAX_HEADER or len(frame.payload) > MAX_PAYLOAD:
        raise BadFrame("a frame of %d + %d bytes is too long" % (len(header), len(frame.payload)))
    return _LENGTHS.pack(len(header), len(frame.payload)) + header + frame.payload


def read(stream: BinaryIO) -> "Frame | None":
    """The next frame; None at a clean end of the stream.

    Raises:
        BadFrame: lengths out of bounds, a header that is no JSON object, or a stream that
            ends inside a frame.
    """
    lengths = _exactly(stream, _LENGTHS.size)
    if not lengths:
        return None
    header_size, payload_size = _LENGTHS.unpack(lengths)
    if header_size > MAX_HEADER or payload_size > MAX_PAYLOAD:
        raise BadFrame("a frame of %d + %d bytes is too long" % (header_size, payload_size))
    text = _exactly(stream, header_size)
    payload = _exactly(stream, payload_size)
    if len(text) != header_size or len(payload) != payload_size:
        raise BadFrame("the stream ended inside a frame")
    try:
        header = json.loads(text.decode())
    except (ValueError, RecursionError):
        raise BadFrame("the header is not JSON") from None
    if not isinstance(header, dict):
        raise BadFrame("the header is not a JSON object")
    return Frame(header, payload)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes; fewer only when the stream ends first; b"" when it ends at once."""
    parts = []
    missing = size
    while missing:
        part = stream.read(missing)
        if not part:
            if missing == size:
                return b""
            raise BadFrame("the stream ended inside a frame")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
