"""The fake TensorRT does what our code relies on, and refuses what the real one refuses."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from trt import fakes, surfaces

NEWER = [name for name in surfaces.NAMES if name not in ("8.4", "8.5", "8.6")]
WITH_TENSORS = [name for name in surfaces.NAMES if name != "8.4"]


def model(operator: str = "Relu", kind: int = TensorProto.FLOAT, axis: Any = "n") -> bytes:
    """y = Relu(x), x and y of shape [n, 3]."""
    ports = [helper.make_tensor_value_info(name, kind, [axis, 3]) for name in "xy"]
    node = helper.make_node(operator, ["x"], ["y"], name="the node")
    graph = helper.make_graph([node], "small", ports[:1], ports[1:])
    opsets = [helper.make_opsetid("", 17)]
    data: bytes = onnx.ModelProto.SerializeToString(
        helper.make_model(graph, opset_imports=opsets, ir_version=8)
    )
    return data


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Library]:
    yield fakes.library(tmp_path_factory.mktemp("cudart"))


class Log:
    """A logger of the user's own, and what it was told."""

    def __init__(self, trt: Any) -> None:
        told = self.told = []

        class Kept(trt.ILogger):
            def __init__(self) -> None:
                super().__init__()

            def log(self, severity: Any, message: str) -> None:
                told.append(f"{severity.name}: {message}")

        self.logger = Kept()

    def __str__(self) -> str:
        return "\n".join(self.told)


def parsed(trt: Any, log: Log, data: bytes) -> tuple[Any, Any, Any]:
    builder = trt.Builder(log.logger)
    members = trt.NetworkDefinitionCreationFlag.__members__
    explicit = members.get("EXPLICIT_BATCH")
    network = builder.create_network(1 << int(explicit) if explicit else 0)
    parser = trt.OnnxParser(network, log.logger)
    parser.parse(data)
    return builder, network, parser


def configured(trt: Any, builder: Any, low: int = 1, high: int = 4) -> Any:
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (low, 3), (high, 3), (high, 3))
    assert config.add_optimization_profile(profile) == 0
    return config


def built(trt: Any, log: Log, data: bytes) -> Any:
    builder, network, _ = parsed(trt, log, data)
    return builder.build_serialized_network(network, configured(trt, builder))


class Device:
    """Memory and a stream of the fake libcudart, straight through ctypes."""

    def __init__(self, library: fakes.Library) -> None:
        from yardarm_runtime.cuda.cudart import Cudart

        self.cuda = Cudart(ctypes.CDLL(str(library.path)), "fake")
        self.stream = self.cuda.stream()
        self.taken: list[int] = []

    def put(self, array: np.ndarray[Any, Any]) -> int:
        pinned = self.cuda.pinned(array.shape, array.dtype)
        pinned[...] = array
        self.taken.append(self.cuda.allocate(array.nbytes))
        self.cuda.copy_in(self.taken[-1], pinned, self.stream)
        self.cuda.synchronize(self.stream)
        self.cuda.free_pinned(pinned)
        return self.taken[-1]

    def get(self, pointer: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        pinned = self.cuda.pinned(shape, dtype)
        self.cuda.copy_out(pinned, pointer, self.stream)
        self.cuda.synchronize(self.stream)
        answer = pinned.copy()
        self.cuda.free_pinned(pinned)
        return answer

    def close(self) -> None:
        for pointer in self.taken:
            self.cuda.free(pointer)
        self.cuda.free_stream(self.stream)


@pytest.fixture
def device(library: fakes.Library) -> Iterator[Device]:
    opened = Device(library)
    yield opened
    opened.close()


X = np.array([[-1, 2, -3], [4, -5, 6]], np.float32)


@pytest.mark.parametrize("name", WITH_TENSORS)
def test_an_engine_is_built_and_answers(name: str, device: Device) -> None:
    trt = fakes.tensorrt(name)
    log = Log(trt)
    serialized = built(trt, log, model())
    engine = trt.Runtime(log.logger).deserialize_cuda_engine(serialized)
    names = [engine.get_tensor_name(place) for place in range(engine.num_io_tensors)]
    modes = [engine.get_tensor_mode(name) for name in names]
    assert (names, modes) == (["x", "y"], [trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT])
    assert tuple(engine.get_tensor_shape("x")) == (-1, 3)
    assert [tuple(shape) for shape in engine.get_tensor_profile_shape("x", 0)] == [
        (1, 3),
        (4, 3),
        (4, 3),
    ]
    context = engine.create_execution_context()
    assert context.infer_shapes() == ["x"]
    assert context.set_input_shape("x", X.shape)
    assert tuple(context.get_tensor_shape("y")) == X.shape
    answer = device.put(np.full_like(X, 7))
    context.set_tensor_address("x", device.put(X))
    context.set_tensor_address("y", answer)
    assert context.execute_async_v3(device.stream)
    assert np.array_equal(device.get(answer, X.shape, X.dtype), np.maximum(X, 0))
    assert fakes.calls(trt)[-1] == "IExecutionContext.execute_async_v3"
    assert not log.told


@pytest.mark.parametrize("name", ["8.4", "8.5", "8.6"])
def test_bindings_by_number(name: str, device: Device) -> None:
    trt = fakes.tensorrt(name)
    engine = trt.Runtime(Log(trt).logger).deserialize_cuda_engine(built(trt, Log(trt), model()))
    assert [engine.get_binding_name(place) for place in range(engine.num_bindings)] == ["x", "y"]
    assert engine.binding_is_input(0) and not engine.binding_is_input("y")
    assert trt.nptype(engine.get_binding_dtype(1)) is np.float32
    context = engine.create_execution_context()
    assert not context.all_binding_shapes_specified
    assert context.set_binding_shape(0, (2, 3)) and context.all_binding_shapes_specified
    places = [device.put(X), device.put(np.zeros_like(X))]
    assert context.execute_async_v2(bindings=places, stream_handle=device.stream)
    assert np.array_equal(device.get(places[1], X.shape, X.dtype), np.maximum(X, 0))


def test_the_plan_tells_what_it_was_built_with() -> None:
    trt = fakes.tensorrt("8.6")
    log = Log(trt)
    builder, network, _ = parsed(trt, log, model())
    config = configured(trt, builder)
    config.set_flag(trt.BuilderFlag.FP16)
    config.clear_flag(trt.BuilderFlag.TF32)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 20)
    layer = network.get_layer(0)
    assert (layer.name, layer.num_outputs, layer.get_output(0).dtype.name) == (
        "the node",
        1,
        "FLOAT",
    )
    layer.precision = trt.DataType.FLOAT
    header = fakes.header(builder.build_serialized_network(network, config))
    assert (header.flags, header.float32, header.workspace) == (["FP16"], ["the node"], 1 << 20)
    assert header.profiles == [{"x": [[1, 3], [4, 3], [4, 3]]}] and not header.strongly_typed


def test_8_narrows_int64_and_10_keeps_it() -> None:
    kinds = {}
    for name in ("8.6", "10.3"):
        trt = fakes.tensorrt(name)
        data = model("Abs", TensorProto.INT64)
        engine = trt.Runtime(Log(trt).logger).deserialize_cuda_engine(built(trt, Log(trt), data))
        kinds[name] = engine.get_tensor_dtype("x").name
    assert kinds == {"8.6": "INT32", "10.3": "INT64"}


def test_what_the_surface_lacks_is_not_there() -> None:
    trt = fakes.tensorrt("10.3")
    builder = trt.Builder(trt.Logger())
    config = builder.create_builder_config()
    with pytest.raises(AttributeError, match="max_workspace_size"):
        config.max_workspace_size = 1
    with pytest.raises(AttributeError, match="no setter"):
        builder.num_DLA_cores = 1
    with pytest.raises(AttributeError):
        builder.build_engine(None, None)
    with pytest.raises(TypeError, match="flag="):
        builder.create_network(flag=1)
    with pytest.raises(TypeError, match="incompatible"):
        builder.create_network("1")
    with pytest.raises(TypeError, match="incompatible"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE)
    with pytest.raises(TypeError, match="No constructor"):
        trt.IBuilderConfig()
    with pytest.raises(TypeError):
        _ = 1 << trt.BuilderFlag.FP16
    assert not hasattr(fakes.tensorrt("11.4").BuilderFlag, "FP16")
    with pytest.raises(NotImplementedError, match="add_shuffle"):
        builder.create_network().add_shuffle(None)

    class Forgetful(trt.ILogger):
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match="must be called"):
        Forgetful()


def test_memory_of_the_host_is_a_buffer_and_nothing_more() -> None:
    trt = fakes.tensorrt("10.3")
    serialized = built(trt, Log(trt), model())
    assert memoryview(serialized).nbytes == serialized.nbytes == len(bytes(serialized))
    for misuse in (len, iter, lambda item: item[0]):
        with pytest.raises(TypeError):
            misuse(serialized)


@pytest.mark.parametrize("name", surfaces.NAMES)
def test_what_the_parser_does_not_take(name: str) -> None:
    trt = fakes.tensorrt(name)
    log = Log(trt)
    _, network, parser = parsed(trt, log, model("Det", axis=3))
    assert (parser.num_errors, network.num_layers) == (1, 0)
    assert "Det" in parser.get_error(0).desc() and parser.get_error(0).node() == 0
    _, _, parser = parsed(trt, log, b"junk")
    assert parser.get_error(0).code() == trt.ErrorCode.MODEL_DESERIALIZE_FAILED
    assert "ERROR: " in str(log)


@pytest.mark.parametrize("name", NEWER)
def test_strongly_typed_networks_take_no_flags_of_types(name: str) -> None:
    trt = fakes.tensorrt(name)
    log = Log(trt)
    builder = trt.Builder(log.logger)
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    trt.OnnxParser(network, log.logger).parse(model())
    config = configured(trt, builder)
    if hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
        assert builder.build_serialized_network(network, config) is None
        assert "strongly typed" in str(log)
        config.clear_flag(trt.BuilderFlag.FP16)
    assert builder.build_serialized_network(network, config) is not None


def test_builds_that_tensorrt_refuses() -> None:
    trt = fakes.tensorrt("8.6")
    log = Log(trt)
    builder, network, _ = parsed(trt, log, model())
    assert builder.build_serialized_network(network, builder.create_builder_config()) is None
    assert "no optimization profile" in log.told[-1]
    implicit = builder.create_network()
    assert not trt.OnnxParser(implicit, log.logger).parse(model())
    assert "explicit batch" in log.told[-1]


@pytest.mark.parametrize("name", NEWER)
def test_progress_is_told_and_can_end_a_build(name: str) -> None:
    trt = fakes.tensorrt(name)
    told: list[str] = []

    class Monitor(trt.IProgressMonitor):
        def __init__(self, patience: int) -> None:
            super().__init__()
            self.patience = patience

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            told.append(f"+{phase_name} of {parent_phase}: {num_steps}")

        def step_complete(self, phase_name: str, step: int) -> bool:
            self.patience -= 1
            return self.patience > 0

        def phase_finish(self, phase_name: str) -> None:
            told.append(f"-{phase_name}")

    log = Log(trt)
    builder, network, _ = parsed(trt, log, model())
    config = configured(trt, builder)
    config.progress_monitor = Monitor(100)
    assert builder.build_serialized_network(network, config)
    assert told[0] == "+Building engine of None: 3" and told[-1] == "-Building engine"
    config.progress_monitor = Monitor(2)
    assert builder.build_serialized_network(network, config) is None
    assert "canceled" in log.told[-1] and told[-1] == "-Building engine"


def test_plans_of_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trt = fakes.tensorrt("10.3")
    log = Log(trt)
    data = bytes(built(trt, log, model()))
    runtime = trt.Runtime(log.logger)
    flipped = data[:-1] + bytes([data[-1] ^ 1])
    for damaged in (b"", b"junk", data[:-9], flipped):
        assert runtime.deserialize_cuda_engine(damaged) is None
        assert "Serialization" in log.told[-1]
    newer = fakes.tensorrt("10.13")
    other = Log(newer)
    assert newer.Runtime(other.logger).deserialize_cuda_engine(data) is None
    assert "expecting library version 10.13.3.9 got 10.3.0" in str(other)
    monkeypatch.setenv("FAKE_SM", "72")
    assert runtime.deserialize_cuda_engine(data) is None
    assert "expecting compute 7.2 got compute 8.7" in log.told[-1]


def test_executions_that_tensorrt_refuses(device: Device) -> None:
    trt = fakes.tensorrt("10.3")
    log = Log(trt)
    engine = trt.Runtime(log.logger).deserialize_cuda_engine(built(trt, log, model()))
    context = engine.create_execution_context()

    def refused(why: str) -> bool:
        done = context.execute_async_v3(device.stream)
        return not done and why in log.told[-1]

    assert refused("input shapes of ['x']")
    assert not context.set_input_shape("x", (5, 3)) and "profile" in log.told[-1]
    assert context.set_input_shape("x", (2, 3))
    context.set_tensor_address("x", device.put(X))
    assert refused("Address is not set for tensor y")
    context.set_tensor_address("y", device.put(X[:1]))
    assert refused("24 bytes of tensor y are not in device memory")
    context.set_tensor_address("y", X.ctypes.data)
    assert refused("not in device memory")
    context.set_tensor_address("y", device.put(X))
    assert not context.execute_async_v3(12345) and "no stream" in log.told[-1]
    assert context.execute_async_v3(device.stream)


def test_a_timing_cache_fills_and_foreign_ones_are_empty() -> None:
    trt = fakes.tensorrt("10.3")
    log = Log(trt)
    builder, network, _ = parsed(trt, log, model())
    config = configured(trt, builder)
    empty = config.create_timing_cache(b"")
    before = bytes(empty.serialize())
    assert config.set_timing_cache(empty, ignore_mismatch=False)
    builder.build_serialized_network(network, config)
    after = bytes(config.get_timing_cache().serialize())
    assert after != before
    assert bytes(config.create_timing_cache(after).serialize()) == after
    assert bytes(config.create_timing_cache(b"junk").serialize()) == before
    assert "timing cache" in log.told[-1]


def test_faults(monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    trt = fakes.tensorrt("10.3")
    log = Log(trt)
    serialized = built(trt, log, model())
    monkeypatch.setenv("FAKE_TENSORRT_FAULT", "out of memory while building")
    assert built(trt, log, model()) is None and "out of memory" in str(log)
    engine = trt.Runtime(log.logger).deserialize_cuda_engine(serialized)
    monkeypatch.setenv("FAKE_TENSORRT_FAULT", "no execution context")
    assert engine.create_execution_context() is None
    monkeypatch.setenv("FAKE_TENSORRT_FAULT", "execution fails")
    context = engine.create_execution_context()
    assert not context.execute_async_v3(device.stream)


PROGRAM = """
import tensorrt as trt
from yardarm_runtime.cuda import open_cuda
print(trt.__version__, open_cuda().route, flush=True)
trt.Runtime(trt.Logger()).deserialize_cuda_engine(b"")
stream = open_cuda().stream()
"""


@pytest.mark.parametrize("pycuda", [True, False])
def test_other_processes_find_the_fakes(tmp_path: Path, pycuda: bool) -> None:
    site = fakes.site(tmp_path, "10.3", pycuda=pycuda)

    def run(fault: str) -> Any:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **site.environment, "FAKE_TENSORRT_FAULT": fault},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = run("")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["10.3.0", "pycuda" if pycuda else "libcudart.so.13"]
    assert "[TRT] [E] IRuntime::deserializeCudaEngine" in done.stderr
    assert site.calls()[-1] == "Runtime.deserialize_cuda_engine"
    assert site.left()["streams"] == (0 if pycuda else 1)
    assert run("crash while deserialising").returncode == -signal.SIGSEGV
