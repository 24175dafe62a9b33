"""Samples in the groups that an engine takes, and its answers put together again."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

import numpy as np

from yardarm_runtime.engines.engine import Engine
from yardarm_runtime.problems import Problem


def in_batches(
    engine: Engine, feeds: Mapping[str, np.ndarray[Any, Any]]
) -> Dict[str, np.ndarray[Any, Any]]:
    """Run [n, …] samples, and constant inputs whole with each, as the model wants them.

    It may want another number of samples at a time: a short last group is filled up
    with its last sample, and the answer cut again.

    Raises:
        Problem: they don't fit the model, or its answers can't be put together again.
    """
    count = samples_of(engine, feeds)
    size = group(engine, count)
    parts = []
    for begin in range(0, count, size):
        fed = fed_at(engine, feeds, begin, size)
        engine.check(fed)
        kept = min(size, count - begin)
        outputs = engine.run(fed)
        parts.append({name: _cut(engine, name, outputs[name], size, kept) for name in outputs})
    return {name: _joined(name, [part[name] for part in parts]) for name in parts[0]}


def group(engine: Engine, count: int) -> int:
    """How many samples go into one inference where there are `count`."""
    least, most = engine.bounds
    return engine.batch or max(least, count if most is None else min(count, most))


def samples_of(engine: Engine, feeds: Mapping[str, np.ndarray[Any, Any]]) -> int:
    """How many samples a feed holds. Raises Problem where its arrays differ, or hold none."""
    constant = engine.layout.constant
    moving = {name: array for name, array in feeds.items() if name not in constant}
    counts = {array.shape[0] if array.shape else 0 for array in moving.values()} or {1}
    if len(counts) != 1 or counts == {0}:
        raise Problem("the inputs hold no samples, or not the same number: %s" % sorted(counts))
    return counts.pop()


def fed_at(
    engine: Engine, feeds: Mapping[str, np.ndarray[Any, Any]], begin: int, size: int
) -> Dict[str, np.ndarray[Any, Any]]:
    """`size` samples from `begin` on, filled up at the end, as the model takes them."""
    constant = engine.layout.constant
    return {
        name: array
        if name in constant
        else engine.layout.put(name, _fill(array[begin : begin + size], size))
        for name, array in feeds.items()
    }


def _fill(array: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    missing = size - array.shape[0]
    return np.concatenate([array, np.repeat(array[-1:], missing, 0)]) if missing else array


def _cut(
    engine: Engine, name: str, answer: np.ndarray[Any, Any], size: int, kept: int
) -> np.ndarray[Any, Any]:
    array = engine.layout.taken(name, answer)
    if not array.shape or array.shape[0] != size:
        axis = engine.layout.output_axis.get(name, 0)
        raise Problem(
            "output %r has shape %s: axis %d is not the sample" % (name, answer.shape, axis)
        )
    return array[:kept]


def _joined(name: str, parts: List[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    try:
        return np.concatenate(parts)
    except ValueError:
        raise Problem("output %r differs in shape from sample to sample" % name) from None
