"""The real bindings are imported and read; facts that are known of them come out."""

from __future__ import annotations

import json

import pytest

from trt import bindings, surfaces
from trt.dump_surface import signature
from trt.fakes.module import BEHAVIOURS


def test_signatures_are_read_as_pybind11_writes_them() -> None:
    read = signature(
        "set_shape(self: tensorrt_bindings.tensorrt.IOptimizationProfile, input: str, "
        "min: List[int] = [1, 2], flag: tensorrt.BuilderFlag = <BuilderFlag.FP16: 0>, "
        "arg0: Callable[[int], str]) -> nvonnxparser::IParserError"
    )
    assert read == {
        "arguments": [
            {"name": "input", "type": "str", "optional": False},
            {"name": "min", "type": "List[int]", "optional": True},
            {"name": "flag", "type": "BuilderFlag", "optional": True},
            {"name": "arg0", "type": "Callable[[int], str]", "optional": False},
        ],
        "returns": "ParserError",
    }
    assert signature("Some words about it (with brackets).") is None


@pytest.mark.parametrize("name", surfaces.NAMES)
def test_every_surface_is_whole(name: str) -> None:
    surface = surfaces.load(name)
    number = surface["version"].split(".")
    assert name == bindings.RTX or name.split(".") == number[:2]
    assert len(surface["classes"]) > 100
    for owner in ("Builder", "IBuilderConfig", "OnnxParser", "Runtime", "ICudaEngine"):
        described = surface["classes"][owner]
        lacking = [key for key, overloads in described["methods"].items() if not overloads]
        assert set(lacking) <= {"__init__"}, lacking


def has(name: str, path: str) -> bool:
    owner, attribute = path.rsplit(".", 1)
    described = surfaces.load(name)["classes"].get(owner, {})
    return any(
        attribute in described.get(group, ()) for group in ("methods", "properties", "members")
    )


# Known differences (release notes of TensorRT): where each is, of the surfaces named above it.
FACTS = {
    "IBuilderConfig.max_workspace_size": "8.4 8.5 8.6",
    "IBuilderConfig.set_memory_pool_limit": "8.4 8.5 8.6 10.0 10.3 10.13 10.16 11.4 rtx",
    "IBuilderConfig.builder_optimization_level": "8.6 10.0 10.3 10.13 10.16 11.4 rtx",
    "ICudaEngine.num_bindings": "8.4 8.5 8.6",
    "ICudaEngine.num_io_tensors": "8.5 8.6 10.0 10.3 10.13 10.16 11.4 rtx",
    "IExecutionContext.execute_async_v2": "8.4 8.5 8.6",
    "IExecutionContext.execute_async_v3": "8.5 8.6 10.0 10.3 10.13 10.16 11.4 rtx",
    "BuilderFlag.FP16": "8.4 8.5 8.6 10.0 10.3 10.13 10.16",
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": "8.4 8.5 8.6 10.0 10.3 10.13 10.16",
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": "10.0 10.3 10.13 10.16 11.4 rtx",
    "OnnxParser.supports_model_v2": "10.3 10.13 10.16 11.4 rtx",
}


@pytest.mark.parametrize("path", FACTS)
def test_known_differences(path: str) -> None:
    assert [name for name in surfaces.NAMES if has(name, path)] == FACTS[path].split()


def test_the_table_of_older_versions_names_only_what_8_6_has() -> None:
    table = json.loads(surfaces.OLDER.read_text())
    assert "NVIDIA/TensorRT" in table["source"]
    wrong = {"classes": [], "values": [], "Builder": ["create_nothing"]}
    with pytest.raises(KeyError):
        surfaces._remove(json.loads(json.dumps(surfaces.load("8.6"))), wrong)
    with pytest.raises(KeyError):
        surfaces._remove_attribute(
            json.loads(json.dumps(surfaces.load("8.6")["classes"]["ICudaEngine"])),
            "get_tensor_format(name,nothing)",
        )


def test_the_fake_imitates_only_what_some_version_has() -> None:
    strangers = []
    for owner, behaviour in BEHAVIOURS.items():
        for name in vars(behaviour):
            if not name.startswith("_") and not _somewhere(owner, name):
                strangers.append(f"{owner}.{name}")
    assert strangers == []


def _somewhere(owner: str, name: str) -> bool:
    for version in surfaces.NAMES:
        surface = surfaces.load(version)
        if owner == "module" and name in surface["functions"]:
            return True
        described = surface["classes"].get(owner, {})
        if any(name in described.get(group, ()) for group in ("methods", "properties")):
            return True
    return owner == "Held"
