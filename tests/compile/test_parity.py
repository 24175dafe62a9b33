"""The gate between a model and its ONNX form, by two ONNX models that should be one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto

from odd_models import feed, held, model, node, port, weights
from yardarm.artifacts import Layout
from yardarm.compile.session import Arrays, Engine
from yardarm.compile.sources.parity import Compared, Parity
from yardarm.datasets import Dataset, open_dataset
from yardarm.errors import VerificationFailed
from yardarm.project import MetricSection

TOP1 = MetricSection(output="y")


def net(*, factor: float = 2.0, kind: str = "Relu", choose: str = "ArgMax") -> ModelProto:
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="first"),
        node("Mul", ["a", "factor"], ["b"], name="second"),
        node(kind, ["b"], ["c"], name="third"),
        node("Sqrt", ["c"], ["y"], name="fourth"),
        node(choose, ["a"], ["best"], name="fifth", axis=1, keepdims=0),
    ]
    outputs = [port("y", "n", 3), port("best", "n", kind=TensorProto.INT64)]
    constants = [weights("w", 4, 3), held("factor", factor)]
    return model(nodes, [port("x", "n", 4)], outputs, constants, 13)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    np.savez(tmp_path / "set.npz", **feed(net(), 50), label=np.zeros(50, np.int64))
    return open_dataset(tmp_path / "set.npz", Layout(batch=7))


def compare(one: ModelProto, two: ModelProto, dataset: Dataset) -> Compared:
    session = onnxruntime.InferenceSession(
        one.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def trace(fed: Arrays) -> Iterator[tuple[str, np.ndarray]]:
        from yardarm.compile.sources.parity import exposed

        yield from exposed(one, {"a", "b", "c"}, fed).items()

    return Parity(session, two, trace).check(dataset, TOP1, dataset.read("label"))


def test_a_model_equals_itself_where_it_answers_nan_too(dataset: Dataset) -> None:
    told = compare(net(kind="Identity"), net(kind="Identity"), dataset)
    assert told.outputs == {"y": 0.0, "best": 0.0}
    x = {"x": dataset.read("x")}
    assert np.isnan(Engine(net(kind="Identity")).run(x)["y"]).any()


@pytest.mark.parametrize(
    ("two", "told"),
    [
        (net(factor=2.1), "node second (Mul), its output b"),
        (net(kind="Abs"), "node third (Abs), its output c"),
        (net(kind="Identity"), "node third (Identity), its output c"),
        (net(choose="ArgMin"), "node fifth (ArgMin), its output best"),
    ],
    ids=["values", "operator", "nan", "integers"],
)
def test_the_first_node_that_differs_is_named(two: ModelProto, told: str, dataset: Dataset) -> None:
    with pytest.raises(VerificationFailed) as caught:
        compare(net(), two, dataset)
    assert caught.value.where == told
    assert caught.value.exit_code == 8


def test_another_shape_is_a_difference(dataset: Dataset) -> None:
    two = net()
    two.graph.node.append(node("Transpose", ["y0"], ["y"], name="turned"))
    two.graph.node[3].output[0] = "y0"
    with pytest.raises(VerificationFailed, match="'y' is off by inf"):
        compare(net(), two, dataset)


def test_a_difference_within_the_tolerance_passes(dataset: Dataset) -> None:
    told = compare(net(), net(factor=2.0004), dataset)
    assert 5e-5 < told.outputs["y"] < 1e-3
