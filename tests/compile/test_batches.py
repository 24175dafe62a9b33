"""Statistics don't depend on how the set is cut into batches, or on the samples' order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from yardarm import datasets, events
from yardarm.artifacts import Layout
from yardarm.compile.calibration.calibrate import Observed, calibrate
from yardarm.digest import Digest, of_bytes
from yardarm.errors import InvalidInput

STEP = events.Step(events.silent, "calibrate")
SAMPLES = 21
LONG = 70  # times 64 features: more than is counted of a sample


def tensor(name: str, shape: list[str | int | None], kind: int = TensorProto.FLOAT) -> object:
    return helper.make_tensor_value_info(name, kind, shape)


def inferred(
    nodes: list[onnx.NodeProto],
    inputs: list[object],
    outputs: list[object],
    weights: dict[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    held = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "layouts", inputs, outputs, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made, strict_mode=True, data_prop=True)


def layouts() -> onnx.ModelProto:
    """Samples on the first axis, on the second, folded into one with time, and on none.

    All values are small whole numbers, so that sums come out the same in any order.
    """
    node = helper.make_node
    nodes = [
        node("Transpose", ["x"], ["second"], perm=[1, 0, 2]),
        node("Reshape", ["second", "rows"], ["time_first"]),
        node("Reshape", ["x", "rows"], ["samples_first"]),
        node("MatMul", ["samples_first", "w"], ["product"]),
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "one"], ["length"], axis=0),
        node("Cast", ["length"], ["of_none"], to=TensorProto.FLOAT),
        node("Mul", ["table", "of_none"], ["table_read"]),
        node("Add", ["x", "table_read"], ["moved"]),
        node("Mul", ["time_first", "of_none"], ["last"]),
    ]
    weights = {
        "rows": np.array([-1, 64]),
        "one": np.array([1]),
        "w": np.random.default_rng(2).integers(-2, 3, (64, 2)).astype(np.float32),
        "table": np.random.default_rng(3).integers(-2, 3, (LONG, 64)).astype(np.float32),
    }
    outputs = [
        tensor("last", [None, 64]),
        tensor("product", [None, 2]),
        tensor("moved", [None, LONG, 64]),
    ]
    return inferred(nodes, [tensor("x", ["N", LONG, 64])], outputs, weights)


def first_axis_only() -> onnx.ModelProto:
    node = helper.make_node
    nodes = [
        node("Transpose", ["x"], ["second"], perm=[1, 0, 2]),
        node("Neg", ["second"], ["negative"]),
        node("ReduceMax", ["negative"], ["peaks"], axes=[0, 2], keepdims=0),
        node("Mul", ["table", "two"], ["table_read"]),
        node("Add", ["x", "table_read"], ["moved"]),
    ]
    weights = {
        "two": np.array(2.0, np.float32),
        "table": np.random.default_rng(3).integers(-2, 3, (LONG, 64)).astype(np.float32),
    }
    outputs = [tensor("peaks", ["N"]), tensor("moved", ["N", LONG, 64])]
    return inferred(nodes, [tensor("x", ["N", LONG, 64])], outputs, weights)


MODELS = {"folded": layouts(), "unfolded": first_axis_only()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("batches")


def seen(
    model: onnx.ModelProto, folder: Path, layout: Layout, **arrays: np.ndarray
) -> dict[str, Observed]:
    np.savez(folder / "data.npz", **arrays)
    return calibrate(model, datasets.open_dataset(folder / "data.npz", layout), STEP)


def assert_same(one: dict[str, Observed], other: dict[str, Observed]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert (tensor.low, tensor.high, tensor.count) == (
            other[name].low,
            other[name].high,
            other[name].count,
        ), name
        assert tensor.mean == pytest.approx(other[name].mean, rel=1e-9, abs=1e-9), name
        assert tensor.histogram.exponent == other[name].histogram.exponent, name
        np.testing.assert_array_equal(
            tensor.histogram.counts, other[name].histogram.counts, err_msg=name
        )


def whole_numbers(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    scale = 2.0 ** random.integers(0, 4, (SAMPLES, 1, 1))
    return (random.integers(-4, 5, (SAMPLES, LONG, 64)) * scale).astype(np.float32)


@pytest.mark.parametrize("which", MODELS)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 99),
    batch=st.integers(1, SAMPLES + 4),
    other=st.integers(1, SAMPLES + 4),
)
def test_neither_batches_nor_order_matter(
    which: str, folder: Path, seed: int, batch: int, other: int
) -> None:
    x = whole_numbers(seed)
    one = seen(MODELS[which], folder, Layout(batch), x=x)
    shuffled = np.random.default_rng(seed).permutation(x)
    assert_same(one, seen(MODELS[which], folder, Layout(other), x=shuffled))


def test_every_layout_is_seen_whole(folder: Path) -> None:
    x = whole_numbers(1)
    found = seen(MODELS["folded"], folder, Layout(8), x=x)
    for name in ("x", "second", "time_first", "samples_first"):
        assert (found[name].low, found[name].high) == (x.min(), x.max())
        assert found[name].count == x.size
        assert found[name].mean == pytest.approx(x.mean(), abs=1e-6)
        assert found[name].histogram.counts.sum() < x.size  # it is thinned out
    assert found["of_none"].count == SAMPLES


def test_a_model_that_fixes_its_batch_counts_no_filling(folder: Path) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Abs", ["y"], ["z"])]
    model = inferred(nodes, [tensor("x", [4, 3])], [tensor("z", [4, 3])])
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    for batch in (1, 4, 7):
        found = seen(model, folder, Layout(batch), x=x)
        assert found["y"].count == 30
        np.testing.assert_array_equal(
            found["y"].histogram.counts.sum(), found["x"].histogram.counts.sum()
        )


def test_a_fixed_batch_on_another_axis(folder: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0]),
        helper.make_node("Transpose", ["y"], ["z"], perm=[1, 0]),
    ]
    model = inferred(nodes, [tensor("x", [4, 3])], [tensor("z", [4, 3])])
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    found = seen(model, folder, Layout(5), x=x)
    assert (found["y"].count, found["z"].count) == (30, 30)
    np.testing.assert_array_equal(found["y"].histogram.counts, found["x"].histogram.counts)


def test_a_constant_that_fits_whole_batches_only(folder: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "state"], ["y"])]
    inputs = [tensor("x", ["N", 3]), tensor("state", ["N", 3])]
    model = inferred(nodes, inputs, [tensor("y", ["N", 3])])
    x = np.arange(24, dtype=np.float32).reshape(8, 3)
    layout = Layout(4, constant=frozenset({"state"}))
    found = seen(model, folder, layout, x=x, state=np.ones((4, 3), np.float32))
    assert (found["y"].low, found["y"].high, found["y"].count) == (1, 24, 24)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int32])
def test_a_model_without_any_float32(folder: Path, kind: type) -> None:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    model = inferred(nodes, [tensor("x", ["N", 3], element)], [tensor("y", ["N", 3], element)])
    found = seen(model, folder, Layout(4), x=np.arange(30).reshape(10, 3).astype(kind))
    assert found.keys() == {"x"}
    assert (found["x"].low, found["x"].high, found["x"].count) == (0, 29, 30)


def test_samples_without_a_batch_axis(folder: Path) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Abs", ["y"], ["z"])]
    model = inferred(nodes, [tensor("x", ["T", 2])], [tensor("z", ["T", 2])])
    x = np.arange(60, dtype=np.float32).reshape(6, 5, 2)
    found = seen(model, folder, Layout(0), x=x)
    assert (found["y"].low, found["y"].high, found["y"].count) == (-59, 0, 60)


def test_inputs_of_any_type_and_constant_ones(folder: Path) -> None:
    node = helper.make_node
    nodes = [
        node("Cast", ["ids"], ["a"], to=TensorProto.FLOAT),
        node("Cast", ["mask"], ["b"], to=TensorProto.FLOAT),
        node("Cast", ["half"], ["c"], to=TensorProto.FLOAT),
        node("Cast", ["double"], ["d"], to=TensorProto.FLOAT),
        node("Mul", ["a", "b"], ["ab"]),
        node("Mul", ["c", "d"], ["cd"]),
        node("Add", ["ab", "cd"], ["sum"]),
        node("Mul", ["rate", "rate"], ["square"]),
        node("Mul", ["sum", "square"], ["y"]),
    ]
    kinds = {
        "ids": TensorProto.INT64,
        "mask": TensorProto.BOOL,
        "half": TensorProto.FLOAT16,
        "double": TensorProto.DOUBLE,
    }
    inputs = [tensor(name, ["N", 3], kind) for name, kind in kinds.items()]
    model = inferred(nodes, [*inputs, tensor("rate", [])], [tensor("y", ["N", 3])])
    random = np.random.default_rng(1)
    arrays = {
        "ids": random.integers(-(2**40), 2**40, (9, 3)),
        "mask": random.integers(0, 2, (9, 3)).astype(bool),
        "half": random.normal(0, 1, (9, 3)).astype(np.float16),
        "double": random.normal(0, 1, (9, 3)),
        "rate": np.array(16_000.0, np.float32),
    }
    one, other = (
        seen(model, folder, Layout(size, constant=frozenset({"rate"})), **arrays) for size in (2, 5)
    )
    assert_same(one, other)
    assert (one["ids"].low, one["ids"].high) == (arrays["ids"].min(), arrays["ids"].max())
    assert (one["mask"].low, one["mask"].high) == (0, 1)
    assert one["half"].high == float(arrays["half"].max())
    assert one["double"].high == arrays["double"].max()
    assert one["square"].low == one["square"].high == np.float32(16_000.0) ** 2
    assert one["rate"].count == 9


def test_empty_tensors_are_left_out(folder: Path) -> None:
    nodes = [
        helper.make_node("Slice", ["x", "zero", "zero", "one"], ["nothing"]),
        helper.make_node("Concat", ["x", "nothing"], ["y"], axis=1),
    ]
    weights = {"zero": np.array([0]), "one": np.array([1])}
    model = inferred(nodes, [tensor("x", ["N", 3])], [tensor("y", ["N", None])], weights)
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = seen(model, folder, Layout(3), x=x)
    assert "nothing" not in found
    assert found["y"].count == 12


def test_a_limit_on_memory_takes_more_passes_and_sees_the_same(folder: Path) -> None:
    np.savez(folder / "data.npz", x=whole_numbers(4))
    dataset = datasets.open_dataset(folder / "data.npz", Layout(4))
    totals: set[int] = set()
    step = events.Step(lambda event: totals.add(getattr(event, "total", 0)), "calibrate")
    whole = calibrate(MODELS["unfolded"], dataset, step)
    least = LONG * 64 * 4
    in_parts = calibrate(MODELS["unfolded"], dataset, step, memory_limit=least)
    assert totals == {SAMPLES, 5 * SAMPLES}
    assert_same(whole, in_parts)
    with pytest.raises(InvalidInput, match=r"tensor second: takes 0.0 MB") as caught:
        calibrate(MODELS["unfolded"], dataset, step, memory_limit=least - 1)
    assert caught.value.hint == "set the limit to 1 MB or more"


def test_only_the_tensors_asked_for(folder: Path) -> None:
    np.savez(folder / "data.npz", x=whole_numbers(4))
    dataset = datasets.open_dataset(folder / "data.npz", Layout(4))
    assert calibrate(MODELS["folded"], dataset, STEP, names=["product"]).keys() == {"x", "product"}


CHILD = """
import sys
from pathlib import Path
import onnx
from yardarm import datasets, events
from yardarm.artifacts import Layout
from yardarm.compile.calibration.calibrate import calibrate

def most():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1000

model, dataset = onnx.load(sys.argv[1]), datasets.open_dataset(Path(sys.argv[2]), Layout(8))
before = most()
calibrate(model, dataset, events.Step(events.silent, "calibrate"), memory_limit=int(sys.argv[3]))
print(most() - before)
"""


# Each tensor is given back to the kernel when it is freed. By itself, glibc keeps such blocks in
# its heap after the first one, where between none and all of them stay, as holes happen to lie.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "1000000"}


@pytest.mark.parametrize(("limit", "bounds"), [(17, (40, 110)), (1000, (150, 250))])
def test_a_limit_on_memory_is_kept(limit: int, bounds: tuple[int, int], tmp_path: Path) -> None:
    """Sixteen tensors of 8 MB each: under a limit of two, a run holds few of them at a time,
    and so does the look at their sizes."""
    names = ["x", *(f"t{number}" for number in range(16))]
    nodes = [helper.make_node("Neg", [one], [other]) for one, other in pairwise(names)]
    shape = ["N", 16, 256, 512]
    model = inferred(nodes, [tensor("x", shape)], [tensor(names[-1], shape)])
    onnx.save(model, tmp_path / "model.onnx")
    x = np.random.default_rng(1).normal(0, 1, (2, *shape[1:])).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x)
    files = [tmp_path / "model.onnx", tmp_path / "data.npz"]
    told = subprocess.run(
        [sys.executable, "-c", CHILD, *files, str(limit * 1_000_000)],
        env=os.environ | GIVEN_BACK,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert bounds[0] <= int(told.stdout) <= bounds[1]


class Ragged:
    """Samples of lengths that vary, as a function would yield them."""

    members: Mapping[str, datasets.Member] = {
        "x": datasets.Member(np.dtype(np.float32), (9, None, 2))
    }

    def batches(
        self, size: int, moving: Sequence[str], whole: Sequence[str]
    ) -> Iterator[dict[str, np.ndarray]]:
        assert (size, moving, whole) == (1, ["x"], [])
        for length in range(1, 10):
            yield {"x": np.arange(length * 2, dtype=np.float32).reshape(1, length, 2)}

    def digest(self) -> Digest:
        return of_bytes(b"ragged")


def test_samples_of_lengths_that_vary() -> None:
    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Abs", ["y"], ["z"])]
    model = inferred(nodes, [tensor("x", ["T", 2])], [tensor("z", ["T", 2])])
    found = calibrate(model, datasets.Dataset(Path("ragged"), Ragged(), Layout(0)), STEP)
    assert (found["y"].low, found["y"].high, found["y"].count) == (-17, 0, 90)
    np.testing.assert_array_equal(found["x"].histogram.counts, found["z"].histogram.counts)
