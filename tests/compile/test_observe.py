"""What calibration saw, kept in the store."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from small_models import convolutions, images
from yardarm import datasets, events
from yardarm.artifacts import Layout
from yardarm.compile.calibration import observe
from yardarm.compile.calibration.calibrate import Observed, calibrate
from yardarm.compile.calibration.observed import PORTIONS
from yardarm.compile.normalising.normalise import normalise
from yardarm.store import Store

MODEL = normalise(convolutions(), 13, 21, {"x:0": images(1, 4)})


@pytest.fixture
def dataset(tmp_path: Path) -> datasets.Dataset:
    np.savez(tmp_path / "data.npz", **{"x:0": images(1, 20)})
    return datasets.open_dataset(tmp_path / "data.npz", Layout(6))


def running() -> events.Step:
    return events.Step(events.silent, "calibrate")


def assert_equal(one: Observed, other: Observed) -> None:
    for part in observe.PARTS:
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
        assert getattr(other, part).shape == (PORTIONS,)
    np.testing.assert_array_equal(one.tally.counts, other.tally.counts)
    assert (one.tally.exponent, one.still) == (other.tally.exponent, other.still)


def test_bytes_hold_everything_and_repeat(dataset: datasets.Dataset) -> None:
    seen = calibrate(MODEL, dataset, running())
    # Channels that stay the same are told, too.
    seen["c2"].still = {3: np.float32(0.1)}
    data = observe.to_bytes(seen)
    again = observe.from_bytes(data)
    assert again.keys() == seen.keys()
    for name, tensor in seen.items():
        assert_equal(tensor, again[name])
    assert observe.to_bytes(again) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_no_tensors_are_bytes_too() -> None:
    assert observe.from_bytes(observe.to_bytes({})) == {}


def test_the_same_model_and_data_are_looked_up(dataset: datasets.Dataset, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first, second, other = running(), running(), running()
    seen = observe.observe(MODEL, dataset, dataset.digest(), store, first)
    again = observe.observe(MODEL, dataset, dataset.digest(), store, second, memory_limit=10**6)
    assert (first.cached, second.cached) == (False, True)
    for name, tensor in seen.items():
        assert_equal(tensor, again[name])
    np.savez(dataset.file, **{"x:0": images(2, 20)})
    changed = datasets.open_dataset(dataset.file, dataset.layout)
    found = observe.observe(MODEL, changed, changed.digest(), store, other)
    assert not other.cached
    assert found["x:0"].high != seen["x:0"].high


def test_a_damaged_record_is_made_again(dataset: datasets.Dataset, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    observe.observe(MODEL, dataset, dataset.digest(), store, running())
    for blob in (tmp_path / "store" / "blobs" / "sha256").iterdir():
        blob.write_bytes(blob.read_bytes()[:100])
    step = running()
    assert "x:0" in observe.observe(MODEL, dataset, dataset.digest(), store, step)
    assert not step.cached
