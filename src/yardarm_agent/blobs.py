"""Blobs on the device: partial ones in `incoming`, verified complete ones in the store."""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import Any, Dict, NamedTuple

from yardarm_agent.layout import Layout
from yardarm_wire.files import FILES
from yardarm_wire.frames import MAX_PAYLOAD
from yardarm_wire.problems import Invalid, NotVerified, Refusal

RESERVE = 64 * 1000 * 1000
"""Bytes of disk that a transfer always leaves free."""


def arrived(layout: Layout, digest: str) -> Dict[str, Any]:
    """How much of a blob is here: {"complete": bool, "offset": bytes of a partial one}."""
    if os.path.exists(layout.blob(digest)):
        return {"complete": True, "offset": 0}
    try:
        return {"complete": False, "offset": os.stat(layout.partial(digest)).st_size}
    except FileNotFoundError:
        return {"complete": False, "offset": 0}


def free(layout: Layout) -> int:
    """Bytes that a transfer may still use; the reserve is already taken off."""
    state = os.statvfs(layout.root)
    return max(0, state.f_bavail * state.f_frsize - RESERVE)


def require(layout: Layout, needed: int) -> None:
    """Raises Refusal when fewer than `needed` bytes may be written, or inodes run out."""
    room = free(layout)
    if needed > room:
        raise Refusal(
            "the disk is too full: %.0f MB are needed, %.0f MB may be used"
            % (needed / 1e6, room / 1e6),
            layout.root,
            "free some space; nothing was written",
        )
    state = os.statvfs(layout.root)
    if state.f_files and state.f_favail < 20000:
        raise Refusal("the disk has only %d inodes left" % state.f_favail, layout.root)


class Chunk(NamedTuple):
    """A piece of a blob of `size` bytes in all; `payload` is "raw" or one "zlib" stream."""

    digest: str
    size: int
    offset: int
    encoding: str
    payload: bytes


def receive(layout: Layout, chunk: Chunk) -> int:
    """Append a chunk at its offset to a partial blob; returns the new length.

    Raises:
        Invalid: the chunk doesn't continue what is here, is damaged, or exceeds the size.
    """
    if not (_is_count(chunk.size) and _is_count(chunk.offset)):
        raise Invalid("size and offset are numbers of bytes", chunk.digest)
    data = _decoded(chunk.payload, chunk.encoding)
    path = layout.partial(chunk.digest)
    with open(path, "ab") as stream:
        here = stream.tell()
        if chunk.offset != here:
            raise Invalid(
                "a chunk at %d doesn't continue %d bytes" % (chunk.offset, here), chunk.digest
            )
        if here + len(data) > chunk.size:
            raise Invalid("more than the %d bytes that were announced" % chunk.size, chunk.digest)
        try:
            stream.write(data)
            stream.flush()
        except OSError:
            # On a full disk the partial blob is the one thing that we may give back.
            os.unlink(path)
            raise
    return here + len(data)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def outstanding(sizes: Dict[str, int], state: Dict[str, Any]) -> int:
    """Bytes that are still to come of blobs with these sizes, of which `state` is here."""
    if not all(_is_count(size) for size in sizes.values()):
        raise Invalid("sizes are numbers of bytes")
    missing = [digest for digest in sizes if not state[digest]["complete"]]
    return sum(max(0, sizes[digest] - state[digest]["offset"]) for digest in missing)


def _decoded(payload: bytes, encoding: str) -> bytes:
    if encoding == "raw":
        return payload
    if encoding != "zlib":
        raise Invalid("unknown encoding %.20r" % (encoding,))
    decoder = zlib.decompressobj()
    try:
        # One byte more than is taken: the decoder notices a stream's end only beyond it.
        data = decoder.decompress(payload, MAX_PAYLOAD + 1)
    except zlib.error:
        raise Invalid("a chunk is damaged") from None
    if not decoder.eof or decoder.unused_data or len(data) > MAX_PAYLOAD:
        raise Invalid("a chunk is damaged, or expands beyond %d bytes" % MAX_PAYLOAD)
    return data


def seal(layout: Layout, digest: str) -> None:
    """Check a partial blob against its digest and make it part of the store, durably.

    Raises:
        NotVerified: the bytes are others; they are removed.
    """
    path = layout.partial(digest)
    if os.path.exists(layout.blob(digest)):
        if os.path.exists(path):
            os.unlink(path)
        return
    if not os.path.exists(path):
        open(path, "wb").close()
    with open(path, "rb") as stream:
        FILES.sync(stream.fileno())
        wrong = _hash(path) != digest
    if wrong:
        os.unlink(path)
        raise NotVerified("the bytes that arrived are not those of the digest", digest)
    FILES.rename(path, layout.blob(digest))


def verify(layout: Layout, digest: str) -> None:
    """Raises NotVerified when a stored blob is missing or damaged; a damaged one goes."""
    path = layout.blob(digest)
    if not os.path.exists(path):
        raise NotVerified("the blob is not here", digest, "push again")
    if _hash(path) != digest:
        os.unlink(path)
        raise NotVerified("the stored blob was damaged, and is removed", digest, "push again")


def _hash(path: str) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as stream:
        while True:
            part = stream.read(1 << 20)
            if not part:
                return "sha256:" + total.hexdigest()
            total.update(part)
