"""The fake and a real TensorRT answer alike, as far as the real one gets without a GPU.

The real one is TensorRT-RTX: its parser and builder run on this CPU. Texts of logs are not
compared.
"""

from __future__ import annotations

from typing import Any

import pytest
import tensorrt_rtx
from onnx import TensorProto, helper

from trt import fakes

WORKS = helper.make_node("Relu", ["x"], ["y"], name="the node")


@pytest.fixture(params=["fake", "real"])
def trt(request: pytest.FixtureRequest) -> Any:
    return fakes.tensorrt("rtx") if request.param == "fake" else tensorrt_rtx


@pytest.fixture
def logger(trt: Any) -> Any:
    class Silent(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            assert severity.name in trt.ILogger.Severity.__members__ and msg

    return Silent()


@pytest.fixture
def builder(trt: Any, logger: Any) -> Any:
    return trt.Builder(logger)


def model(node: Any = WORKS, axis: Any = "n") -> bytes:
    kind = TensorProto.FLOAT
    shapes = {"x": [axis, 3], "y": [axis, 3]}
    ports = [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
    graph = helper.make_graph([node], "small", ports[:1], ports[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


def parsed(trt: Any, builder: Any, logger: Any, data: bytes) -> tuple[Any, Any, bool]:
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    return network, parser, parser.parse(data)


def profiled(builder: Any, least: int = 1, most: int = 4) -> Any:
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    assert profile.set_shape("x", (least, 3), (most, 3), (most, 3)) is None
    assert config.add_optimization_profile(profile) == (0 if least <= most else -1)
    return config


def test_wrong_calls(trt: Any, builder: Any) -> None:
    with pytest.raises(TypeError):
        builder.create_network(flag=1)
    with pytest.raises(TypeError):
        builder.create_network("1")
    with pytest.raises(TypeError):
        builder.build_serialized_network(builder.create_builder_config(), None)
    with pytest.raises(TypeError):
        trt.IBuilderConfig()
    with pytest.raises(TypeError):
        trt.Builder()
    with pytest.raises(AttributeError):
        builder.num_DLA_cores = 1
    with pytest.raises(AttributeError):
        builder.nothing = 1
    with pytest.raises(AttributeError):
        builder.nothing()

    class Forgetful(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError):
        Forgetful()


def test_enums(trt: Any) -> None:
    flag = trt.BuilderFlag.TF32
    assert int(flag) == flag.value and flag != int(flag) and flag.name == "TF32"
    assert str(flag) == "BuilderFlag.TF32" and trt.BuilderFlag.__members__["TF32"] == flag
    assert len({flag, trt.BuilderFlag.TF32}) == 1
    for misuse in (lambda: 1 << flag, lambda: flag | flag):
        with pytest.raises(TypeError):
            misuse()
    assert trt.float32 == trt.DataType.FLOAT and trt.Logger.ERROR == trt.ILogger.Severity.ERROR


def test_dims(trt: Any) -> None:
    dims = trt.Dims([1, 2])
    assert tuple(dims) == (1, 2) and len(dims) == 2 and dims[1] == 2 and str(dims) == "(1, 2)"
    assert dims == (1, 2) and dims == [1, 2]
    with pytest.raises(TypeError):
        assert dims == trt.Dims([1, 2])


def test_configurations_begin_alike(trt: Any, builder: Any) -> None:
    config = builder.create_builder_config()
    assert config.builder_optimization_level == 3 and config.progress_monitor is None
    assert config.get_flag(trt.BuilderFlag.TF32) and config.flags == 1 << int(trt.BuilderFlag.TF32)
    config.clear_flag(trt.BuilderFlag.TF32)
    assert config.flags == 0
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 20)
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 1 << 20


def test_parsing(trt: Any, builder: Any, logger: Any) -> None:
    network, parser, done = parsed(trt, builder, logger, model())
    assert done and (parser.num_errors, network.num_inputs, network.num_outputs) == (0, 1, 1)
    tensor = network.get_input(0)
    assert (tensor.name, tuple(tensor.shape), tensor.dtype.name) == ("x", (-1, 3), "FLOAT")
    assert "the node" in [network.get_layer(index).name for index in range(network.num_layers)]
    assert network.get_input(7) is network.get_layer(99) is parser.get_error(7) is None


def test_files_that_are_no_models(trt: Any, builder: Any, logger: Any) -> None:
    _, parser, done = parsed(trt, builder, logger, b"junk")
    error = parser.get_error(0)
    assert (done, parser.num_errors, error.node()) == (False, 1, -1)
    assert error.code() == trt.ErrorCode.MODEL_DESERIALIZE_FAILED and "parse" in error.desc()


def test_operators_without_a_layer(trt: Any, builder: Any, logger: Any) -> None:
    node = helper.make_node("Det", ["x"], ["y"], name="the node")
    _, parser, done = parsed(trt, builder, logger, model(node, 3))
    assert not done and parser.num_errors >= 1
    error = parser.get_error(0)
    assert (error.node(), error.node_operator()) == (0, "Det")
    known = {"Relu": True, "Det": False, "ConvInteger": False, "QLinearConv": False}
    assert {name: parser.supports_operator(name) for name in known} == known


def test_a_build_gives_a_buffer(trt: Any, builder: Any, logger: Any) -> None:
    network, _, _ = parsed(trt, builder, logger, model())
    serialized = builder.build_serialized_network(network, profiled(builder))
    assert serialized and memoryview(serialized).nbytes == serialized.nbytes > 0
    with pytest.raises(TypeError):
        len(serialized)
    with pytest.raises(TypeError):
        serialized[0]


def test_builds_that_are_refused(trt: Any, builder: Any, logger: Any) -> None:
    network, _, _ = parsed(trt, builder, logger, model())
    assert builder.build_serialized_network(network, builder.create_builder_config()) is None
    assert builder.build_serialized_network(network, profiled(builder, 5, 4)) is None
    empty = builder.create_network()
    assert builder.build_serialized_network(empty, builder.create_builder_config()) is None
    config = builder.create_builder_config()
    assert config.add_optimization_profile(builder.create_optimization_profile()) == 0
    assert builder.build_serialized_network(network, config) is None


@pytest.mark.parametrize("patience", [1, 1000])
def test_progress(trt: Any, builder: Any, logger: Any, patience: int) -> None:
    open_phases: list[str] = []
    steps: list[str] = []

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            assert parent_phase is None or parent_phase in open_phases
            assert num_steps > 0
            open_phases.append(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            steps.append(phase_name)
            return len(steps) < patience

        def phase_finish(self, phase_name: str) -> None:
            open_phases.remove(phase_name)

    network, _, _ = parsed(trt, builder, logger, model())
    config = profiled(builder)
    monitor = Monitor()
    config.progress_monitor = monitor
    serialized = builder.build_serialized_network(network, config)
    assert (serialized is None) == (patience == 1)
    assert steps and not open_phases


def test_what_is_not_a_plan(trt: Any, logger: Any) -> None:
    runtime = trt.Runtime(logger)
    assert runtime.deserialize_cuda_engine(b"junk") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_timing_caches(builder: Any) -> None:
    config = builder.create_builder_config()
    assert config.get_timing_cache() is None
    timing_cache = config.create_timing_cache(b"junk")
    assert config.set_timing_cache(timing_cache, False)
    assert memoryview(config.get_timing_cache().serialize()).nbytes > 0
