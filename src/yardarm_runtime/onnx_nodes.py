"""The nodes of an ONNX file by their index, without the onnx package.

Field numbers: onnx.proto3, messages ModelProto, GraphProto and NodeProto.
"""

from __future__ import annotations

from typing import Any, Iterator, List, NamedTuple, Tuple

GRAPH, NODE, NAME, OP = 7, 1, 3, 4

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""


class Node(NamedTuple):
    name: str
    op: str


def of(model: bytes) -> List[Node]:
    """[] where it is no such file."""
    try:
        graph = next(value for number, value in fields(memoryview(model)) if number == GRAPH)
        return [_node(value) for number, value in fields(graph) if number == NODE]
    except (ValueError, IndexError, StopIteration, TypeError):
        return []


def _node(data: Any) -> Node:
    texts = {number: value for number, value in fields(data) if number in (NAME, OP)}
    name, op = (bytes(texts.get(number, b"")).decode(errors="replace") for number in (NAME, OP))
    return Node(name, op)


def fields(data: Any) -> Iterator[Tuple[int, Any]]:
    """Number and value of each field; bytes stay views of `data`. Raises ValueError or
    IndexError where it is no message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError("wire type %d" % kind)
        if at + size > len(data):
            raise ValueError("the message ends early")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: Any, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a varint of more than 64 bits")
