"""Archives are streamed, and whatever is wrong with one is named."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from yardarm import datasets
from yardarm.datasets import Tensor
from yardarm.errors import InvalidInput

TWO = Tensor("x", np.dtype(np.float32), (None, 2))

arrays = hnp.arrays(
    st.sampled_from([np.float32, np.int64, np.uint8, np.bool_, np.float16]),
    hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7).filter(lambda s: s[0] > 0),
    elements={"allow_nan": False, "allow_infinity": False},
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(array=arrays, size=st.integers(1, 9), deflated=st.booleans())
def test_batches_joined_are_the_array(
    array: np.ndarray, size: int, deflated: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("npz") / "data.npz"
    (np.savez_compressed if deflated else np.savez)(file, x=array)
    dataset = datasets.open_dataset(file)
    batches = [batch["x"] for batch in dataset.batches(size)]
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    joined = np.concatenate(batches)
    assert joined.dtype == array.dtype
    np.testing.assert_array_equal(joined, array)
    np.testing.assert_array_equal(dataset.read("x"), array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_stays_within_a_batch(save: object, tmp_path: Path) -> None:
    file = tmp_path / "large.npz"
    save(file, x=np.zeros((4096, 4096), np.float32))  # 64 MB
    dataset = datasets.open_dataset(file)
    tracemalloc.start()
    assert sum(len(batch["x"]) for batch in dataset.batches(64)) == 4096
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def saved(folder: Path, **members: np.ndarray) -> Path:
    np.savez(folder / "data.npz", **members)
    return folder / "data.npz"


def text(file: Path) -> Path:
    file.write_text("x")
    return file


def cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[:200])
    return file


def flipped(file: Path) -> Path:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    return file


def short_member(file: Path) -> Path:
    with zipfile.ZipFile(file) as archive:
        data = archive.read("x.npy")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", data[:-4])
    return file


def floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.npz", "there is no such data file"),
        (lambda d: text(d / "data.npz"), "not a readable npz"),
        (lambda d: cut(saved(d, x=floats(99, 9))), "not a readable npz"),
        (lambda d: short_member(saved(d, x=floats(4, 2))), "too few"),
        (saved, "no array"),
        (lambda d: saved(d, x=floats(0, 2)), "no samples"),
        (lambda d: saved(d, x=floats(3, 2), y=floats(4)), "differ in their number"),
        (lambda d: saved(d, x=np.array(3.0)), "without a sample axis"),
        (lambda d: saved(d, x=np.array([{}], dtype=object)), "Python objects"),
        (lambda d: saved(d, x=np.asfortranarray(floats(3, 2))), "Fortran"),
    ],
)
def test_opening_names_what_is_wrong(make: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        datasets.open_dataset(make(tmp_path))
    assert str(tmp_path) in caught.value.where


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": floats(3, 2)}, r"input 'x' has no array \(found: y\)"),
        ({"x": np.ones((3, 2))}, "expected float32, found float64"),
        ({"x": floats(3, 4)}, r"expected shape \[samples, 2\], found \[3, 4\]"),
        ({"x": floats(3)}, r"expected shape \[samples, 2\], found \[3\]"),
    ],
)
def test_arrays_must_fit_the_model(
    arrays: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=message):
        datasets.check_inputs(datasets.open_dataset(saved(tmp_path, **arrays)), [TWO])


def test_fitting_arrays_and_labels_pass(tmp_path: Path) -> None:
    dataset = datasets.open_dataset(saved(tmp_path, x=floats(3, 2), label=np.arange(3)))
    datasets.check_inputs(dataset, [TWO])
    datasets.check_labels(dataset, "label")
    with pytest.raises(InvalidInput, match="'truth' with the labels"):
        datasets.check_labels(dataset, "truth")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_found(bad: float, tmp_path: Path) -> None:
    array = floats(10, 2, 2)
    array[7, 0, 1] = bad
    dataset = datasets.open_dataset(saved(tmp_path, x=array))
    with pytest.raises(InvalidInput, match="sample 7 has NaN or infinite"):
        list(dataset.batches(4))


def test_damage_within_an_array_is_found_while_reading(tmp_path: Path) -> None:
    dataset = datasets.open_dataset(flipped(saved(tmp_path, x=floats(500, 9))))
    with pytest.raises(InvalidInput, match="not a readable npz"):
        list(dataset.batches(64))
