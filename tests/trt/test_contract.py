"""Our TensorRT code uses only what the API has, in every version that it serves."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from trt import surfaces
from trt.api import Api
from trt.contract import check, used

EIGHT = ("8.4", "8.5", "8.6")
ELEVEN = ("11.4", "rtx")
TEN_ON = tuple(name for name in surfaces.NAMES if name not in EIGHT)
# Eleven is a Ten, so that what stands in ten.py is for both; monitor.py is used by ten.py alone.
SERVES = {"eight": EIGHT, "ten": TEN_ON, "monitor": TEN_ON, "eleven": ELEVEN}
ONLY = {"Rtx": ("rtx",)}


def apis(*names: str) -> list[Api]:
    return [Api(name, surfaces.load(name)) for name in names]


def test_our_code_keeps_to_the_api(repository: Path) -> None:
    folder = repository / "src" / "yardarm_runtime" / "tensorrt"
    files = {file.stem: file for file in sorted(folder.glob("*.py"))}
    assert set(SERVES) <= set(files)
    only = {name: apis(*chosen) for name, chosen in ONLY.items()}
    told = [
        f"{file.name}:{found.line}: TensorRT {found.surface}: {found.what}"
        for name, file in files.items()
        for found in check(file.read_text(), apis(*SERVES.get(name, surfaces.NAMES)), only)
    ]
    assert not told, "\n".join(told)


# So that the walk is not of empty rooms: what no TensorRT code can do without.
NEEDED = {
    "eight": {
        "BuilderFlag.FP16",
        "BuilderFlag.INT8",
        "ILayer.precision",
        "IExecutionContext.execute_async_v2",
        "IExecutionContext.set_binding_shape",
        "ICudaEngine.num_bindings",
    },
    "ten": {
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "IBuilderConfig.progress_monitor",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.set_input_shape",
        "IExecutionContext.set_tensor_address",
        "ICudaEngine.num_io_tensors",
    },
    "eleven": {"Builder.create_network"},
    "builder": {
        "Builder.build_serialized_network",
        "IBuilderConfig.set_memory_pool_limit",
        "IBuilderConfig.set_timing_cache",
        "IOptimizationProfile.set_shape",
        "OnnxParser.parse",
    },
}


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_walked_is_seen(name: str, repository: Path) -> None:
    file = repository / "src" / "yardarm_runtime" / "tensorrt" / f"{name}.py"
    newest = SERVES.get(name, surfaces.NAMES)[-1]
    seen = used(file.read_text(), *apis(newest))
    assert NEEDED[name] <= seen, NEEDED[name] - seen


def test_tensorrt_is_imported_in_one_place(repository: Path) -> None:
    runtime = repository / "src" / "yardarm_runtime"
    where = [
        file.relative_to(runtime).as_posix()
        for file in sorted(runtime.rglob("*.py"))
        if any(name.split(".")[0].startswith("tensorrt") for name in imported(file))
    ]
    assert where == ["tensorrt/__init__.py"]


def test_tensorrt_is_used_in_one_folder(repository: Path) -> None:
    runtime = repository / "src" / "yardarm_runtime"
    outside = [file for file in runtime.rglob("*.py") if runtime / "tensorrt" not in file.parents]
    strays = [
        f"{file.name}:{node.lineno}"
        for file in outside
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "trt"
    ]
    assert outside and not strays


def imported(file: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = [item.name for node in nodes if isinstance(node, ast.Import) for item in node.names]
    return plain + [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]


# Each is wrong in at least one of the versions named, and the finding says so.
MISUSES = {
    "unknown method": ("10.3", "builder.create_networks()", "Builder has no 'create_networks'"),
    "unknown enum member": ("10.3", "trt.BuilderFlag.FP17", "BuilderFlag has no 'FP17'"),
    "unknown class": ("10.3", "trt.Bilder(logger)", "the module has no 'Bilder'"),
    "unknown keyword": ("10.3", "builder.create_network(flag=1)", "not ['0 by place', 'flag']"),
    "too many arguments": ("10.3", "config.set_flag(trt.BuilderFlag.FP16, 1)", "takes ['flag']"),
    "too few arguments": ("10.3", "config.set_flag()", "takes ['flag']"),
    "argument of another class": (
        "10.3",
        "builder.build_serialized_network(config, network)",
        "takes ['network, config']",
    ),
    "enum of another kind": ("10.3", "config.set_flag(trt.DataType.HALF)", "takes ['flag']"),
    "text for a number": ("10.3", "builder.create_network('1')", "takes ['flags']"),
    "another generation's method": (
        "10.3",
        "context.execute_async_v2(bindings, stream)",
        "IExecutionContext has no 'execute_async_v2'",
    ),
    "another generation's flag": (
        "11.4",
        "config.set_flag(trt.BuilderFlag.FP16)",
        "BuilderFlag has no 'FP16'",
    ),
    "another generation's property": (
        "10.3",
        "config.max_workspace_size = 1 << 30",
        "IBuilderConfig has no property 'max_workspace_size'",
    ),
    "a later release's property": (
        "8.5",
        "config.builder_optimization_level = 3",
        "no property 'builder_optimization_level'",
    ),
    "a later release's method": ("8.4", "engine.get_tensor_name(0)", "no 'get_tensor_name'"),
    "a later release's argument": (
        "8.5",
        "engine.get_tensor_format(name, 0)",
        "takes ['name'], not ['2 by place']",
    ),
    "a method set like a property": ("10.3", "config.set_flag = 1", "no property 'set_flag'"),
    "a read-only property set": ("10.3", "builder.num_DLA_cores = 1", "can't be set"),
    "what a call returned": (
        "10.3",
        "made = builder.create_network()\nmade.num_layer",
        "INetworkDefinition has no 'num_layer'",
    ),
    "what a property holds": ("10.3", "context.engine.num_bindings", "no 'num_bindings'"),
    "a chain of calls": (
        "10.3",
        "config.get_timing_cache().serialise()",
        "ITimingCache has no 'serialise'",
    ),
    "a class that can't be made": ("10.3", "trt.IBuilderConfig()", "takes no call"),
    "a name for another thing": (
        "10.3",
        "network = builder.create_builder_config()",
        "'network' is a IBuilderConfig, and stands for INetworkDefinition",
    ),
    "an object of unknown class": ("10.3", "given.set_memory_pool_limit(1, 2)", "unknown class"),
    "arguments that can't be told": ("10.3", "config.set_flag(*flags)", "unpacked"),
    "the wrong method overridden": (
        "10.3",
        "class M(trt.IProgressMonitor):\n    def phase_end(self, phase_name): ...",
        "IProgressMonitor has no method 'phase_end'",
    ),
    "an override of another length": (
        "10.3",
        "class M(trt.IProgressMonitor):\n    def phase_finish(self): ...",
        "IProgressMonitor.phase_finish takes [1] arguments",
    ),
    "a base that isn't there": (
        "8.6",
        "class M(trt.IProgressMonitor):\n    def phase_finish(self, phase_name): ...",
        "the module has no 'IProgressMonitor'",
    ),
    "the module under another name": (
        "10.3",
        "self._trt.BuilderFlag.FP17",
        "BuilderFlag has no 'FP17'",
    ),
    "behind a version that is too low": (
        "8.5",
        "if self._version >= (8, 4):\n    config.builder_optimization_level = 3",
        "builder_optimization_level",
    ),
    "in the other branch": (
        "8.5",
        "if self._version >= (8, 6):\n    pass\nelse:\n    config.builder_optimization_level = 3",
        "builder_optimization_level",
    ),
    "within an expression": ("10.3", "x = [trt.BuilderFlag.FP17 for i in y]", "FP17"),
    "within a statement": ("10.3", "with a:\n    return not parser.pars(model)", "'pars'"),
}


@pytest.mark.parametrize("kind", MISUSES)
def test_misuses_are_caught(kind: str) -> None:
    name, source, told = MISUSES[kind]
    body = "def use(self):\n" + textwrap.indent(source, "    ")
    found = [finding.what for finding in check(body, apis(name))]
    assert len(found) == 1, found
    assert told in found[0]


RIGHT = """
def use(self, trt, logger, capability):
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, logger)
    for index in range(parser.num_errors):
        problem_ = parser.get_error(index)
        print(problem_.desc(), problem_.code().name)
    trt, config = self._trt, builder.create_builder_config()
    config.set_memory_pool_limit(pool=trt.MemoryPoolType.WORKSPACE, pool_size=1 << 30)
    config.set_flag(trt.BuilderFlag.__members__.get(capability))
    profile = builder.create_optimization_profile()
    profile.set_shape("x", [1, 3], (2, 3), max=(4, 3))
    config.add_optimization_profile(profile)
    timing_cache = config.create_timing_cache(b"")
    if timing_cache is None or not config.set_timing_cache(timing_cache, False):
        raise ValueError(trt.__version__, trt.__name__)
    if self._version >= (8, 6):
        config.builder_optimization_level = 3
    if self._version < (8, 6):
        config.max_workspace_size = 1
    serialized = builder.build_serialized_network(network, config)
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(serialized)
    return engine.create_execution_context().engine.num_layers

class Kept(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)

    def log(self, severity, msg):
        print(severity.name, msg)
"""


@pytest.mark.parametrize("name", ["8.4", "8.5", "8.6", "10.3"])
def test_right_code_passes(name: str) -> None:
    assert check(RIGHT, apis(name)) == []


def test_what_is_imported_or_annotated_is_ours() -> None:
    imported = "from yardarm_runtime.tensorrt import builder\n\n"
    assert check(imported + "def use():\n    builder.check(1)\n", apis("10.3")) == []
    assert check("def use():\n    builder.check(1)\n", apis("10.3")) != []
    source = "def use(tensor: {0}):\n    return tensor.least\n"
    assert check(source.format("Tensor"), apis("10.3")) == []
    assert check(source.format("Any"), apis("10.3")) != []


def test_classes_for_one_version_alone() -> None:
    source = "class Rtx:\n    def use(self, config):\n        config.num_compute_capabilities = 1\n"
    assert check(source, apis("11.4", "rtx")) != []
    assert check(source, apis("11.4", "rtx"), {"Rtx": apis("rtx")}) == []
