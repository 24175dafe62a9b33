"""The tables of operators: one for each TensorRT that a profile names, facts that anchor them."""

from __future__ import annotations

import onnx
import pytest

from yardarm import profiles
from yardarm.compile.readiness import tables
from yardarm.compile.readiness.tables import Version

VERSIONS = tables.versions()
LEGACY = {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}  # of ONNX before its first release
NAMES = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}


def test_every_release_of_a_profile_has_its_table() -> None:
    releases = [release for name in profiles.names() for release in profiles.load(name).releases]
    assert {tables.version(release.tensorrt) for release in releases} == set(VERSIONS)
    for release in releases:
        table = tables.load(tables.version(release.tensorrt))
        assert table.version == tables.version(release.tensorrt)
        assert table.opset_max == release.opset_max


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_tables_are_whole(version: Version) -> None:
    table = tables.load(version)
    assert "onnx/onnx-tensorrt" in table.source
    assert "[S]" in table.source
    assert table.types <= set(tables.NAMES.values())
    assert set(table.operators) <= NAMES | LEGACY
    assert all(types and types <= table.types for types in table.operators.values())
    assert table.opset_min < table.opset_max


@pytest.mark.parametrize(
    ("op", "since"),
    [
        ("Conv", (8, 4)),
        ("GridSample", (8, 5)),
        ("NonZero", (8, 5)),
        ("LayerNormalization", (8, 6)),
        ("Gelu", (10, 3)),
        ("STFT", (10, 13)),
        ("Attention", (10, 16)),
    ],
)
def test_operators_since(op: str, since: Version) -> None:
    assert next(each for each in VERSIONS if op in tables.load(each).operators) == since


@pytest.mark.parametrize(
    "op", ["BitShift", "Det", "DynamicQuantizeLinear", "QLinearConv", "Unique"]
)
def test_operators_that_no_version_has(op: str) -> None:
    assert not any(op in tables.load(version).operators for version in VERSIONS)


def test_later_tables_inherit_and_override() -> None:
    assert tables.load((8, 4)).operators["TopK"] == {"FP32", "FP16"}
    assert tables.load((8, 6)).operators["TopK"] == {"FP32", "FP16", "INT32"}
    assert tables.load((8, 6)).operators["Conv"] == tables.load((8, 4)).operators["Conv"]


@pytest.mark.parametrize(
    ("asked", "used"), [((8, 2), (8, 4)), ((10, 7), (10, 3)), ((11, 4), (10, 16))]
)
def test_a_version_without_a_table_takes_the_nearest_lower_one(
    asked: Version, used: Version
) -> None:
    assert tables.load(asked).version == used


def test_versions_as_people_write_them() -> None:
    assert tables.version("10.16.2") == (10, 16)
    assert tables.version("10.3") == (10, 3)
    assert tables.version("11") == (11, 0)
