"""Frames: what is written is read back; anything else is refused within bounded memory."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm_wire import frames
from yardarm_wire.frames import MAX_HEADER, MAX_PAYLOAD, BadFrame, Frame

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FRAMES = st.builds(Frame, st.dictionaries(st.text(), JSON, max_size=5), st.binary(max_size=2000))


class Dribble(io.RawIOBase):
    """A stream that hands out a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, step: int) -> None:
        self._inner = io.BytesIO(data)
        self._step = step

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, self._step))


def raw(header: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">II", len(header), len(payload)) + header + payload


@given(st.lists(FRAMES, max_size=4), st.integers(1, 50))
def test_what_is_written_is_read_back(sent: list[Frame], step: int) -> None:
    stream = Dribble(b"".join(frames.encode(frame) for frame in sent), step)
    assert [frames.read(stream) for _ in sent] == sent
    assert frames.read(stream) is None


def test_a_frame_byte_by_byte() -> None:
    assert frames.encode(Frame({"op": "x"}, b"\x01\x02")) == (
        b"\x00\x00\x00\x0a" + b"\x00\x00\x00\x02" + b'{"op":"x"}' + b"\x01\x02"
    )


@given(FRAMES, st.data())
def test_a_stream_that_ends_inside_a_frame_is_refused(frame: Frame, data: st.DataObject) -> None:
    whole = frames.encode(frame)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(BadFrame):
        frames.read(io.BytesIO(whole[:cut]))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    stream = io.BytesIO(data)
    try:
        while (frame := frames.read(stream)) is not None:
            assert isinstance(frame.header, dict)
    except BadFrame:
        pass


@pytest.mark.parametrize(
    "header",
    [b"", b"{", b"nonsense", b"\xff\xfe", b"[1]", b'"text"', b"7", b"null", b"[" * 200_000],
    ids=["empty", "torn", "word", "bytes", "list", "text", "number", "null", "deep"],
)
def test_a_header_that_is_no_object_is_refused(header: bytes) -> None:
    with pytest.raises(BadFrame, match="header is not"):
        frames.read(io.BytesIO(raw(header)))


def test_a_deeply_nested_object_is_refused() -> None:
    with pytest.raises(BadFrame, match="not JSON"):
        frames.read(io.BytesIO(raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)))


@pytest.mark.parametrize(
    ("header", "payload"), [(MAX_HEADER + 1, 0), (2, MAX_PAYLOAD + 1), (2**32 - 1, 2**32 - 1)]
)
def test_hostile_lengths_are_refused_before_anything_is_read(header: int, payload: int) -> None:
    stream = io.BytesIO(struct.pack(">II", header, payload) + b"{}" + bytes(1000))
    tracemalloc.start()
    try:
        with pytest.raises(BadFrame, match="too long"):
            frames.read(stream)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert stream.tell() == 8


def test_the_largest_frame_takes_little_more_than_itself() -> None:
    header = json.dumps({"a": "x" * (MAX_HEADER - 9)}, separators=(",", ":")).encode()
    stream = io.BytesIO(raw(header, bytes(MAX_PAYLOAD)))
    tracemalloc.start()
    try:
        frame = frames.read(stream)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert frame is not None and len(frame.payload) == MAX_PAYLOAD
    assert most < MAX_PAYLOAD + 4 * MAX_HEADER


def test_too_long_a_frame_is_not_written() -> None:
    with pytest.raises(BadFrame):
        frames.encode(Frame({}, bytes(MAX_PAYLOAD + 1)))
    with pytest.raises(BadFrame):
        frames.encode(Frame({"a": "x" * MAX_HEADER}))
