"""Writing a small ONNX file without the onnx package, which devices don't have.

Field numbers and enumerations: onnx.proto3.
"""

from __future__ import annotations

import struct
from typing import Any, List, Mapping, NamedTuple, Sequence, Tuple, Union

import numpy as np

IR, OPSET = 7, 13
"""Old enough for TensorRT 8.4."""

TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "float16": 10}
FLOAT, INT, INTS = 1, 2, 7
"""AttributeProto.AttributeType"""

Attribute = Union[int, float, Sequence[int]]


class Node(NamedTuple):
    op: str
    inputs: Sequence[str]
    output: str
    attributes: Mapping[str, Attribute] = {}


class Value(NamedTuple):
    """An input or output of the graph."""

    name: str
    dtype: str
    shape: Tuple[int, ...]


def model(
    nodes: Sequence[Node],
    weights: Mapping[str, np.ndarray[Any, Any]],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
) -> bytes:
    """The file. Nodes are named by their outputs."""
    graph = [_text(2, "selftest")]
    graph += [_bytes(1, _node(node)) for node in nodes]
    graph += [_bytes(5, _tensor(name, array)) for name, array in weights.items()]
    graph += [_bytes(11, _value(value)) for value in inputs]
    graph += [_bytes(12, _value(value)) for value in outputs]
    opset = _text(1, "") + _int(2, OPSET)
    return _int(1, IR) + _text(2, "yardarm") + _bytes(7, b"".join(graph)) + _bytes(8, opset)


def _node(node: Node) -> bytes:
    parts = [_text(1, name) for name in node.inputs]
    parts += [_text(2, node.output), _text(3, node.output), _text(4, node.op)]
    parts += [_bytes(5, _attribute(name, value)) for name, value in node.attributes.items()]
    return b"".join(parts)


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _int(3, value) + _int(20, INT)
    if isinstance(value, float):
        return _text(1, name) + _key(2, 5) + struct.pack("<f", value) + _int(20, FLOAT)
    return _text(1, name) + b"".join(_int(8, item) for item in value) + _int(20, INTS)


def _tensor(name: str, array: np.ndarray[Any, Any]) -> bytes:
    dims = b"".join(_int(1, axis) for axis in array.shape)
    data = np.ascontiguousarray(array).tobytes()
    return dims + _int(2, TYPES[array.dtype.name]) + _text(8, name) + _bytes(9, data)


def _value(value: Value) -> bytes:
    dims = b"".join(_bytes(1, _int(1, axis)) for axis in value.shape)
    kind = _int(1, TYPES[value.dtype]) + _bytes(2, dims)
    return _text(1, value.name) + _bytes(2, _bytes(1, kind))


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, data: bytes) -> bytes:
    return _key(field, 2) + _varint(len(data)) + data


def _int(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(value)


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    parts: List[int] = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
