"""Calibration as a step of the store: what was seen is kept, and found by what it is of."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.artifacts import MEDIA_OCTETS
from yardarm.compile.calibration.calibrate import calibrate
from yardarm.compile.calibration.histogram import BINS, Tally
from yardarm.compile.calibration.observed import PORTIONS, Observed
from yardarm.datasets import Dataset
from yardarm.digest import Digest, of_bytes, of_json
from yardarm.errors import VerificationFailed
from yardarm.events import Step
from yardarm.store import Store

RECIPE = 1  # counts changes of this code that change what is seen
PARTS = ("lows", "highs", "totals", "sizes", "samples")  # Observed's arrays by portion


def observe(
    model: ModelProto,
    dataset: Dataset,
    data: Digest,
    store: Store,
    step: Step,
    *,
    memory_limit: int | None = None,
) -> dict[str, Observed]:
    """What `calibrate` sees, or saw of the same model and data; `step.cached` tells which.

    Args:
        data: the data set's digest.
        memory_limit: bytes, as `calibrate` takes it; changes nothing of what is seen.

    Raises:
        InvalidInput, VerificationFailed: as `calibrate`.
    """
    key = _key(model, dataset, data)
    found = _recorded(store, key)
    if found is not None:
        step.cached = True
        return found
    observed = calibrate(model, dataset, step, memory_limit=memory_limit)
    blob = store.put(to_bytes(observed), MEDIA_OCTETS)
    store.record_step(key, {"observed": blob.digest})
    return observed


def _key(model: ModelProto, dataset: Dataset, data: Digest) -> Digest:
    layout = asdict(dataset.layout) | {"constant": sorted(dataset.layout.constant)}
    return of_json(
        {
            "step": "calibrate",
            "recipe": RECIPE,
            "model": of_bytes(model.SerializeToString(deterministic=True)),
            "data": data,
            "layout": layout,
            "tools": {name: version(name) for name in ("onnxruntime", "numpy")},
        }
    )


def _recorded(store: Store, key: Digest) -> dict[str, Observed] | None:
    """Nothing where the record or its blob is gone or damaged: then it is done again."""
    recorded = store.step(key)
    try:
        return from_bytes(store.read(Digest(recorded["observed"]))) if recorded else None
    except (VerificationFailed, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def to_bytes(observed: Mapping[str, Observed]) -> bytes:
    """A compressed npz: `names` says in JSON which tensors are which rows of the arrays, for
    a tensor may be seen under two names. The same statistics give the same bytes."""
    distinct = list({id(seen): seen for seen in observed.values()}.values())
    rows = {id(seen): row for row, seen in enumerate(distinct)}
    names = {name: rows[id(seen)] for name, seen in observed.items()}
    arrays: dict[str, Any] = {
        part: _stacked([getattr(seen, part) for seen in distinct]) for part in PARTS
    }
    arrays["exponents"] = np.array([seen.tally.exponent for seen in distinct], np.int64)
    counts = _stacked([seen.tally.counts.ravel() for seen in distinct])
    filled = np.flatnonzero(counts)
    arrays |= {"filled": filled, "counts": counts.ravel()[filled]}
    still = [_channels(seen) for seen in distinct]
    target = io.BytesIO()
    np.savez_compressed(target, names=_text({"names": names, "still": still}), **arrays)
    return target.getvalue()


def from_bytes(data: bytes) -> dict[str, Observed]:
    """What `to_bytes` wrote.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile: it is something else.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = dict(archive)
    told = json.loads(arrays["names"].tobytes())
    counts = np.zeros((len(arrays["exponents"]), PORTIONS, BINS), np.int64)
    counts.ravel()[arrays["filled"]] = arrays["counts"]
    distinct = [
        Observed(
            **{part: arrays[part][row] for part in PARTS},
            tally=Tally(counts[row], int(arrays["exponents"][row])),
            still=None if still is None else {int(place): value for place, value in still},
        )
        for row, still in enumerate(told["still"])
    ]
    return {name: distinct[row] for name, row in told["names"].items()}


def _stacked(rows: list[NDArray[np.generic]]) -> NDArray[np.generic]:
    return np.stack(rows) if rows else np.zeros((0, PORTIONS))


def _channels(seen: Observed) -> list[tuple[int, float]] | None:
    if seen.still is None:
        return None
    return [(channel, float(value)) for channel, value in seen.still.items()]


def _text(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)
