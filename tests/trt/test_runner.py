"""Running engines, on the fakes: what is answered, in which order, and that all is given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest

from trt import fakes, small_graphs
from yardarm_runtime.cuda import Cuda, cudart, pycuda_driver
from yardarm_runtime.engines.ports import Port, Ports
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt import builder
from yardarm_runtime.tensorrt.options import Options, Profile
from yardarm_runtime.tensorrt.runner import NOBODY, Runner

WAYS = ("8.4", "10.3", "11.4", "10.3 by pycuda")
NOTHING = {"device": 0, "host": 0, "streams": 0, "events": 0, "pageable": 0}
BATCHES = {"x": Profile((1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8))}
INDICES = {"index": Profile((1,), (2,), (5,))}
TABLE = Port("table", np.dtype("float32"), (6, 2))
INDEX = Port("index", np.dtype("int64"), (None,))
ROWS = Port("rows", np.dtype("float32"), (None, 2))
TWICE = Port("twice", np.dtype("int64"), (None,))
GATHERED = Ports((TABLE, INDEX), (ROWS, TWICE))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> fakes.Library:
    return fakes.library(tmp_path_factory.mktemp("cudart"))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def trt(way: str) -> Any:
    return fakes.tensorrt(way.split(maxsplit=1)[0])


@pytest.fixture
def cuda(way: str, library: fakes.Library) -> Cuda:
    if way.endswith("pycuda"):
        return pycuda_driver.PyCuda(fakes.pycuda_driver(library))
    return cudart.Cudart(library.functions, "the fake")


def plan(trt: Any, data: bytes, profiles: dict[str, Profile]) -> bytes:
    typed = not trt.__version__.startswith("8")
    return bytes(builder.build(trt, data, Options("", typed, profiles=profiles)).plan)


@pytest.fixture
def open_runner(trt: Any, cuda: Cuda, library: fakes.Library) -> Iterator[Callable[..., Runner]]:
    """Runners, closed at the end, when nothing may be left."""
    opened: list[Runner] = []

    def make(data: bytes, profiles: dict[str, Profile], ports: Ports = NOBODY) -> Runner:
        opened.append(Runner(trt, cuda, plan(trt, data, profiles), ports))
        return opened[-1]

    yield make
    for runner in opened:
        runner.close()
    assert library.left() == NOTHING


def truth(data: bytes, feeds: dict[str, Any]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def images(count: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(count).normal(size=(count, 3, 8, 8)).astype(np.float32)}


def test_shapes_grow_and_shrink_and_answers_are_right(open_runner, library) -> None:
    data = small_graphs.convolution()
    runner = open_runner(data, BATCHES)
    for count in (1, 4, 2, 2, 1, 3):
        answers = runner.run(images(count))
        np.testing.assert_allclose(answers["y"], truth(data, images(count))["y"], rtol=1e-5)
    assert library.left()["device"] == 2 and library.left()["host"] == 2
    runner.close()
    assert library.left() == NOTHING


def test_answers_outlive_the_next_inference(open_runner) -> None:
    runner = open_runner(small_graphs.convolution(), BATCHES)
    first = runner.run(images(1))["y"]
    kept = first.copy()
    runner.run({"x": images(1)["x"] + 1})
    np.testing.assert_array_equal(first, kept)


def test_ports_have_the_bounds_of_the_profile(open_runner) -> None:
    (port,) = open_runner(small_graphs.convolution(), BATCHES).inputs
    assert (port.shape, port.least, port.most) == ((None, 3, 8, 8), (1, 3, 8, 8), (4, 3, 8, 8))
    (fixed,) = open_runner(small_graphs.convolution(2), {}).inputs
    assert (fixed.shape, fixed.least, fixed.most) == ((2, 3, 8, 8), (), ())


def test_whole_numbers_cross_as_the_user_knows_them(open_runner, trt) -> None:
    data = small_graphs.gathered()
    runner = open_runner(data, INDICES, GATHERED)
    feeds = {
        "table": np.arange(12, dtype=np.float32).reshape(6, 2),
        "index": np.array([3, 0, 5], np.int64),
    }
    assert [port.name for port in runner.outputs] == ["rows", "twice"]
    answers, wanted = runner.run(feeds), truth(data, feeds)
    for name, array in wanted.items():
        assert answers[name].dtype == array.dtype
        np.testing.assert_array_equal(answers[name], array)
    beyond = {**feeds, "index": np.array([1 << 40], np.int64)}
    if trt.__version__.startswith("8"):
        with pytest.raises(Problem, match="'index' holds values beyond int32"):
            runner.run(beyond)


@pytest.mark.parametrize(
    "ports",
    [
        Ports((TABLE, INDEX._replace(dtype=np.dtype("float32"))), (ROWS, TWICE)),
        Ports((TABLE, INDEX._replace(shape=(None, 1))), (ROWS, TWICE)),
        Ports((TABLE, INDEX._replace(name="indices")), (ROWS, TWICE)),
        Ports((TABLE, INDEX), (ROWS, TWICE, TWICE._replace(name="thrice"))),
        Ports((TABLE, INDEX), (ROWS,)),
    ],
)
def test_an_engine_that_is_not_the_manifests_is_refused(open_runner, library, ports) -> None:
    with pytest.raises(Problem, match=r"in the engine|the manifest"):
        open_runner(small_graphs.gathered(), INDICES, ports)
    assert library.left() == NOTHING


def test_one_inference_is_timed_by_the_clock_and_by_the_device(open_runner, library) -> None:
    data = small_graphs.convolution()
    runner = open_runner(data, BATCHES)
    bound = runner.bound(images(2))
    bound.call()
    assert bound.device_ns is not None and bound.device_ns() > 0
    bound.call()
    assert library.left()["streams"] == 1 and library.left()["events"] == 2
    runner.close()
    assert library.left() == NOTHING


def test_calls_come_in_order(trt, cuda, monkeypatch) -> None:
    told: list[str] = []
    watched = cuda.__class__
    for name in ("copy_in", "record", "copy_out", "synchronize", "free", "free_stream"):
        whole = getattr(watched, name)

        def call(self: Any, *given: Any, _name: str = name, _whole: Any = whole) -> Any:
            told.append(_name)
            return _whole(self, *given)

        monkeypatch.setattr(watched, name, call)
    runner = Runner(trt, cuda, plan(trt, small_graphs.convolution(), BATCHES))
    calls = fakes.calls(trt)
    del calls[:]
    runner.run(images(1))
    assert told == ["copy_in", "record", "record", "copy_out", "synchronize"]
    shape, run = (
        next(place for place, name in enumerate(calls) if word in name)
        for word in ("_shape", "execute_async")
    )
    assert calls[shape].endswith(("set_input_shape", "set_binding_shape", "get_binding_shape",
                                  "get_tensor_shape")) and shape < run  # fmt: skip
    del calls[:], told[:]
    runner.run(images(1))
    assert [name.split(".")[1][:13] for name in calls] == ["execute_async"], "nothing anew"
    runner.close()
    assert told[-3:] == ["free", "free", "free_stream"]


@pytest.mark.parametrize(
    "function", ["cudaMalloc", "cudaMallocHost", "cudaStreamCreate", "cudaEventCreate"]
)
def test_every_allocation_may_fail(open_runner, library, monkeypatch, function) -> None:
    data, failures = small_graphs.convolution(), 0
    for number in range(1, 9):
        monkeypatch.setenv("FAKE_CUDART_FAIL", f"{function}:{number}")
        try:
            runner = open_runner(data, BATCHES)
        except Problem as error:
            assert "CUDA: " in str(error) and "failed: " in str(error)
            failures += 1
        else:
            failures += failing(runner)
            runner.close()
        assert library.left() == NOTHING
    assert failures == (1 if function == "cudaStreamCreate" else 2), "two of each else"


def failing(runner: Runner) -> bool:
    try:
        runner.run(images(1))
    except Problem as error:
        assert "CUDA: " in str(error) and "failed: " in str(error)
        return True
    return False


def test_after_a_failure_the_runner_goes_on(open_runner, monkeypatch) -> None:
    runner = open_runner(small_graphs.convolution(), BATCHES)
    monkeypatch.setenv("FAKE_CUDART_FAIL", "cudaMalloc:2")
    with pytest.raises(Problem, match="CUDA"):
        runner.run(images(1))
    assert runner.run(images(1))["y"].shape == (1, 4, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("cudaMemcpyAsync:1:719", "unspecified launch failure"),
        ("cudaMemcpyAsync:2:719", "unspecified launch failure"),
        ("cudaStreamSynchronize:1:719", "unspecified launch failure"),
        ("cudaEventRecord:2:719", "unspecified launch failure"),
    ],
)
def test_what_cuda_reports_is_surfaced(open_runner, monkeypatch, call, message) -> None:
    runner = open_runner(small_graphs.convolution(), BATCHES)
    monkeypatch.setenv("FAKE_CUDART_FAIL", call)
    with pytest.raises(Problem, match=message):
        runner.run(images(1))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("execution fails", "can't run the engine: .*enqueue failed"),
        ("no execution context", "no room to run the engine: .*out of memory"),
    ],
)
def test_what_tensorrt_reports_is_surfaced(open_runner, monkeypatch, fault, message) -> None:
    monkeypatch.setenv("FAKE_TENSORRT_FAULT", fault)
    with pytest.raises(Problem, match=message):
        open_runner(small_graphs.convolution(), BATCHES).run(images(1))


def test_a_plan_that_tensorrt_refuses_is_told(trt, cuda, library) -> None:
    data = plan(trt, small_graphs.convolution(), BATCHES)
    with pytest.raises(Problem, match=r"refuses the engine: .*(Tag|Magic|magic)"):
        Runner(trt, cuda, data[:-9] + b"123456789")
    assert library.left() == NOTHING


def test_shapes_beyond_the_profile_are_refused(open_runner) -> None:
    runner = open_runner(small_graphs.convolution(), BATCHES)
    with pytest.raises(Problem, match="refuses shape"):
        runner.run(images(5))
    assert runner.run(images(4))["y"].shape[0] == 4


def test_shapes_that_were_refused_halfway_are_set_anew(open_runner) -> None:
    profile = Profile((1,), (2,), (4,))
    runner = open_runner(small_graphs.apart(), {"a": profile, "b": profile})
    two = {"a": np.array([1, 2], np.float32), "b": np.array([3, 4], np.float32)}
    runner.run(two)
    with pytest.raises(Problem, match="refuses shape"):
        runner.run({"a": np.ones(3, np.float32), "b": np.ones(9, np.float32)})
    answers = runner.run(two)
    assert answers["twice_a"].tolist() == [2, 4] and answers["twice_b"].tolist() == [6, 8]


def test_an_input_that_nothing_uses_may_be_left_out_of_the_engine(open_runner) -> None:
    unused = Port("unused", np.dtype("int64"), (None,))
    images_port = Port("x", np.dtype("float32"), (None, 3, 8, 8))
    answer = Port("y", np.dtype("float32"), (None, 4, 8, 8))
    ports = Ports((unused, images_port), (answer,))
    runner = open_runner(small_graphs.convolution(), BATCHES, ports)
    assert [port.name for port in runner.inputs] == ["unused", "x"]
    answers = runner.run({"unused": np.zeros(1, np.int64), **images(1)})
    assert answers["y"].shape == (1, 4, 8, 8)
