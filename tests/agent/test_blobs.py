"""Blobs arrive in pieces, are checked as a whole, and never fill the disk for good."""

from __future__ import annotations

import hashlib
import random
import subprocess
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from yardarm_agent import blobs
from yardarm_agent.blobs import Chunk
from yardarm_agent.layout import Layout
from yardarm_wire.frames import MAX_PAYLOAD
from yardarm_wire.problems import Invalid, NotVerified, Refusal

DATA = random.Random(7).randbytes(3000)
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


def chunk(start: int, end: int, encoding: str = "raw", size: int = len(DATA)) -> Chunk:
    part = DATA[start:end]
    return Chunk(DIGEST, size, start, encoding, zlib.compress(part) if encoding == "zlib" else part)


def stored(layout: Layout) -> bytes | None:
    path = Path(layout.blob(DIGEST))
    return path.read_bytes() if path.exists() else None


def incoming(layout: Layout) -> list[str]:
    return [path.name for path in Path(layout.incoming).iterdir()]


def test_pieces_make_the_blob(layout: Layout) -> None:
    assert blobs.arrived(layout, DIGEST) == {"complete": False, "offset": 0}
    assert blobs.receive(layout, chunk(0, 1000, "zlib")) == 1000
    assert blobs.arrived(layout, DIGEST) == {"complete": False, "offset": 1000}
    assert blobs.receive(layout, chunk(1000, 3000)) == 3000
    assert stored(layout) is None
    blobs.seal(layout, DIGEST)
    assert stored(layout) == DATA and incoming(layout) == []
    assert blobs.arrived(layout, DIGEST) == {"complete": True, "offset": 0}
    blobs.verify(layout, DIGEST)


def test_sealing_again_changes_nothing_and_leaves_nothing(layout: Layout) -> None:
    blobs.receive(layout, chunk(0, 3000))
    blobs.seal(layout, DIGEST)
    blobs.receive(layout, chunk(0, 10))
    blobs.seal(layout, DIGEST)
    assert stored(layout) == DATA and incoming(layout) == []


@pytest.mark.parametrize(("start", "end"), [(0, 500), (999, 1500), (1001, 1500)])
def test_a_piece_must_continue_what_is_here(layout: Layout, start: int, end: int) -> None:
    blobs.receive(layout, chunk(0, 1000))
    with pytest.raises(Invalid, match="doesn't continue"):
        blobs.receive(layout, chunk(start, end))
    assert blobs.receive(layout, chunk(1000, 3000)) == 3000


def test_more_bytes_than_announced_are_refused(layout: Layout) -> None:
    with pytest.raises(Invalid, match="more than the 999 bytes"):
        blobs.receive(layout, chunk(0, 1000, size=999))
    assert blobs.arrived(layout, DIGEST)["offset"] == 0


@pytest.mark.parametrize(
    "payload",
    [b"nonsense", zlib.compress(DATA)[:-1], zlib.compress(DATA) + b"more", b""],
    ids=["noise", "torn", "more", "nothing"],
)
def test_a_damaged_zlib_stream_is_refused(layout: Layout, payload: bytes) -> None:
    with pytest.raises(Invalid, match="damaged"):
        blobs.receive(layout, Chunk(DIGEST, 10**6, 0, "zlib", payload))
    assert incoming(layout) == []


def test_a_stream_of_exactly_the_bound_is_taken(layout: Layout) -> None:
    payload = zlib.compress(bytes(MAX_PAYLOAD))
    assert blobs.receive(layout, Chunk(DIGEST, 10**9, 0, "zlib", payload)) == MAX_PAYLOAD


@pytest.mark.parametrize("size", [MAX_PAYLOAD + 1, 200 << 20])
def test_a_bomb_is_refused_in_bounded_memory(layout: Layout, size: int) -> None:
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    payload = b"".join([*parts, packer.compress(bytes(size & 0xFFFFF)), packer.flush()])
    tracemalloc.start()
    try:
        with pytest.raises(Invalid, match="expands beyond"):
            blobs.receive(layout, Chunk(DIGEST, 10**9, 0, "zlib", payload))
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_PAYLOAD
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [-1, 1.5, True, "9", None])
def test_sizes_are_numbers_of_bytes(layout: Layout, size: object) -> None:
    with pytest.raises(Invalid):
        blobs.receive(layout, Chunk(DIGEST, size, 0, "raw", b""))  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        blobs.receive(layout, Chunk(DIGEST, 9, size, "raw", b""))  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        blobs.outstanding({DIGEST: size}, {})  # type: ignore[dict-item]


def test_wrong_bytes_are_never_sealed(layout: Layout) -> None:
    blobs.receive(layout, chunk(0, 2999))
    with pytest.raises(NotVerified):
        blobs.seal(layout, DIGEST)
    assert stored(layout) is None and incoming(layout) == []
    with pytest.raises(NotVerified):
        blobs.seal(layout, DIGEST)


def test_the_empty_blob_needs_no_bytes(layout: Layout) -> None:
    empty = "sha256:" + hashlib.sha256().hexdigest()
    blobs.seal(layout, empty)
    blobs.verify(layout, empty)


def test_a_stored_blob_that_rots_is_removed(layout: Layout) -> None:
    blobs.receive(layout, chunk(0, 3000))
    blobs.seal(layout, DIGEST)
    Path(layout.blob(DIGEST)).write_bytes(DATA[:-1] + b"?")
    with pytest.raises(NotVerified, match="was damaged"):
        blobs.verify(layout, DIGEST)
    with pytest.raises(NotVerified, match="not here"):
        blobs.verify(layout, DIGEST)
    assert not blobs.arrived(layout, DIGEST)["complete"]


def test_room_is_asked_for_before_and_a_reserve_kept(layout: Layout) -> None:
    blobs.require(layout, 0)
    with pytest.raises(Refusal, match="too full"):
        blobs.require(layout, blobs.free(layout) + 1_000_000_000)


@pytest.mark.parametrize("digest", ["../../x", "sha256:../x", "sha256:" + "A" * 64, 7, None, []])
def test_no_path_is_built_from_a_wrong_digest(layout: Layout, digest: object) -> None:
    for operation in (blobs.arrived, blobs.seal, blobs.verify):
        with pytest.raises(Invalid):
            operation(layout, digest)  # type: ignore[arg-type]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Layout]:
    """A root on a file system of 1 MiB."""
    root = tmp_path / "tiny"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)]
    subprocess.run(mount, check=True, timeout=20)
    try:
        made = Layout(str(root))
        made.prepare()
        yield made
    finally:
        subprocess.run(["umount", str(root)], check=True, timeout=20)


@pytest.mark.root
def test_a_full_disk_gets_its_space_back(tiny_disk: Layout, session) -> None:  # type: ignore[no-untyped-def]
    pipes = session(root=tiny_disk.root)
    pipes.ask("claim", owner="me")
    part = random.Random(1).randbytes(600_000)
    put = {"digest": DIGEST, "size": 10**7, "encoding": "raw"}
    assert pipes.ask("put", part, offset=0, **put).header == {"length": 600_000}
    kind, what = pipes.refused("put", part, offset=600_000, **put)
    assert kind == "Refused" and "full" in what
    assert incoming(tiny_disk) == []
    assert pipes.ask("put", part, offset=0, **put).header == {"length": 600_000}
    assert pipes.refused("have", blobs={DIGEST: 10**7})[0] == "Refused"
