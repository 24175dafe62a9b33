"""What a device gets of the evaluation set, and what it sends back of samples of any shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from yardarm import datasets, measure
from yardarm.artifacts import Layout
from yardarm.errors import InvalidInput
from yardarm.measure import run as runs
from yardarm.store import Store

FEEDING = """
import numpy as np

def samples():
    for number in range(150):
        yield {"x": np.full((2, number % 3), number, np.float32), "h": [1, 2], "label": 0}
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def exported(store: Store, dataset: datasets.Dataset, *names: str) -> dict[str, np.ndarray]:
    blob = measure.export(dataset, names, store)
    with np.load(store.path(blob.digest)) as archive:
        return dict(archive)


def test_arrays_are_exported_as_they_are_and_labels_stay(store: Store, tmp_path: Path) -> None:
    held = {"x": np.arange(300.0).reshape(150, 2), "h": np.array(7), "label": np.zeros(150)}
    np.savez(tmp_path / "data.npz", **held)
    layout = Layout(constant=frozenset({"h"}))
    dataset = datasets.open_dataset(tmp_path / "data.npz", layout)
    found = exported(store, dataset, "x", "h")
    assert set(found) == {"x", "h"}
    for name, values in found.items():
        np.testing.assert_array_equal(values, held[name])
    assert measure.export(dataset, ["x", "h"], store) == measure.export(dataset, ["x", "h"], store)


def test_samples_that_differ_in_shape_go_with_their_shapes(store: Store, tmp_path: Path) -> None:
    (tmp_path / "feeding.py").write_text(FEEDING)
    layout = Layout(batch=0, constant=frozenset({"h"}))
    dataset = datasets.open_dataset(tmp_path / "feeding:samples", layout)
    found = exported(store, dataset, "x", "h")
    assert set(found) == {"x", "shapes/x", "h"}
    assert found["shapes/x"].tolist() == [[2, number % 3] for number in range(150)]
    assert found["h"].tolist() == [1, 2]
    assert found["x"].tolist() == [n for n in range(150) for _ in range(2 * (n % 3))]


def test_answers_that_differ_in_shape_are_cut_apart_again(run_files: Path) -> None:
    shapes = np.array([[2, 1], [0, 3], [1, 3]])
    arrays = {"y": np.arange(5.0), "shapes/y": shapes, "shapes/z": np.arange(3), "w": np.ones(3)}
    np.savez(run_files / "outputs.npz", **arrays)
    found = runs.read(run_files).outputs
    assert set(found) == {"y", "w", "shapes/z"}
    assert [part.tolist() for part in found["y"]] == [[[0.0], [1.0]], [], [[2.0, 3.0, 4.0]]]
    np.savez(run_files / "outputs.npz", **{**arrays, "y": np.arange(6.0)})
    with pytest.raises(InvalidInput, match="does not fit its shapes"):
        runs.read(run_files)
