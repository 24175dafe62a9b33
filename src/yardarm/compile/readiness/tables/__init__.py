"""Which operators and types each version of TensorRT parses: a file a version beside this one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from onnx import TensorProto

HERE = Path(__file__).parent

NAMES: dict[int, str] = {
    TensorProto.FLOAT: "FP32",
    TensorProto.FLOAT16: "FP16",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.DOUBLE: "FP32",  # taken, in 32 bits
    TensorProto.FLOAT8E4M3FN: "FP8",
    TensorProto.FLOAT4E2M1: "FP4",
    TensorProto.INT64: "INT64",
    TensorProto.INT32: "INT32",
    TensorProto.INT8: "INT8",
    TensorProto.INT4: "INT4",
    TensorProto.UINT8: "UINT8",
    TensorProto.BOOL: "BOOL",
}
"""ONNX's element types in the tables' words."""

Version = tuple[int, int]


def word(kind: int) -> str:
    """An element type as ONNX calls it."""
    known = kind in TensorProto.DataType.values()
    return TensorProto.DataType.Name(kind) if known else f"type {kind}"


@dataclass(frozen=True)
class Table:
    """What a version's parser takes.

    Attributes:
        version: the table's; lower than what was asked for where that one has none.
        source: where it comes from.
        types: of tensors at all.
        operators: for each operator of ONNX's own domain the types that are listed for it.
    """

    version: Version
    source: str
    opset_min: int
    opset_max: int
    types: frozenset[str]
    operators: Mapping[str, frozenset[str]]


def versions() -> list[Version]:
    """Those that have a table, the oldest first."""
    found = (file.stem for file in HERE.glob("*.toml"))
    return sorted(version(stem) for stem in found if stem[0].isdigit())


def version(text: str) -> Version:
    """Major and minor of a version as people write it."""
    major, minor, *_ = [*text.split("."), "0"]
    return int(major), int(minor)


@cache
def load(wanted: Version) -> Table:
    """The table of a version, else that of the nearest lower one, else the oldest."""
    known = versions()
    have = max((each for each in known if each <= wanted), default=known[0])
    body = _body(f"{have[0]}.{have[1]}")
    return Table(
        have,
        body["source"].strip(),
        body["opset_min"],
        body["opset_max"],
        frozenset(body["types"]),
        body["operators"],
    )


def _body(name: str) -> dict[str, Any]:
    body = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    own = {op: frozenset(group["types"]) for group in body["operators"] for op in group["names"]}
    inherited = _body(body["extends"])["operators"] if "extends" in body else {}
    return body | {"operators": {**inherited, **own}}
