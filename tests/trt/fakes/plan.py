"""The fake's engine plans: a header of what built them, a checksum, and the ONNX file."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass
from typing import Any

MAGIC = b"FAKEPLAN"
_SIZES = struct.Struct("<8sII")


@dataclass(frozen=True)
class Header:
    """What the plan is bound to, and what it was built with: `flags` of the builder, the names
    of layers that were told to be float32, and the limit of the workspace in bytes."""

    tensorrt: str
    sm: int
    profiles: list[dict[str, list[list[int]]]]
    flags: list[str]
    strongly_typed: bool
    float32: list[str]
    workspace: int
    optimization_level: int


class Foreign(Exception):
    """These bytes are no plan, or damaged."""


def write(header: Header, model: bytes) -> bytes:
    described = json.dumps(asdict(header)).encode()
    body = described + model
    return _SIZES.pack(MAGIC, len(described), zlib.crc32(body)) + body


def read(data: bytes) -> tuple[Header, bytes]:
    """Raises Foreign."""
    if len(data) < _SIZES.size:
        raise Foreign("Assertion bufferSize >= minBufferSize failed.")
    magic, length, checksum = _SIZES.unpack_from(data)
    body = data[_SIZES.size :]
    if magic != MAGIC or zlib.crc32(body) != checksum:
        raise Foreign("Serialization assertion plan->header.magicTag == kPLAN_MAGIC_TAG failed.")
    described: dict[str, Any] = json.loads(body[:length])
    return Header(**described), body[length:]


def header(data: bytes) -> Header:
    """Of a plan that the fake built. Raises Foreign."""
    return read(bytes(data))[0]
