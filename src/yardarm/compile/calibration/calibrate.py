"""What values each tensor takes, from one pass over the calibration set.

Tensors are seen batch by batch and only their histograms are kept, so memory depends
neither on the number of samples nor, beyond one small batch, on the model's activations.
What is seen depends neither on the length of batches nor on the order of samples: a value is
counted or not by its place within its sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.compile.calibration import passes, variety
from yardarm.compile.calibration.activations import channelled, fed, floats, passed_on
from yardarm.compile.calibration.exposing import Probe, exposing, extents
from yardarm.compile.calibration.observed import Observed
from yardarm.compile.calibration.passes import Passes
from yardarm.compile.calibration.variety import Variety
from yardarm.compile.session import Arrays
from yardarm.datasets import Dataset
from yardarm.events import Step

__all__ = ["Observed", "calibrate", "floats"]

MEMORY_LIMIT = 512_000_000  # bytes of activations held at a time, unless the caller says
NUMBERS = "fiub"  # kinds of arrays that have extremes


def calibrate(
    model: ModelProto,
    dataset: Dataset,
    step: Step,
    *,
    names: Iterable[str] | None = None,
    memory_limit: int | None = None,
) -> dict[str, Observed]:
    """Run the set through the model and watch its inputs and its float32 tensors.

    A sum that only a Relu or Clip reads is seen as that passes it on: what is cut off needs
    no range, and onnxruntime computes both at once if nobody asks for what is between.

    Args:
        names: the inner tensors to watch; default: every float32 one.
        memory_limit: bytes of activations to hold at a time. Where one sample's are more,
            the set is run through as many times as it takes.

    Returns:
        by tensor name; tensors that stayed empty are missing.

    Raises:
        InvalidInput: the limit is too low for a tensor (named); a float input whose values
            are all the same, or samples that are.
        VerificationFailed: onnxruntime gives up.
    """
    asked = None if names is None else set(names)
    chosen = [name for name in floats(model) if asked is None or name in asked]
    through = passed_on(model)
    watched = list(dict.fromkeys(through.get(name, name) for name in chosen))
    plan = _plan(model, watched, dataset, MEMORY_LIMIT if memory_limit is None else memory_limit)
    watch = _Watch(frozenset(through.get(name, name) for name in channelled(model)), dataset)
    total = len(plan.groups) * dataset.samples
    for turn, group in enumerate(plan.groups):
        for done in watch.run(model, plan, group, inputs=turn == 0):
            step.advance(turn * dataset.samples + done, total, "samples")
        if turn == 0:
            watch.check(step)
    seen = watch.observed
    return seen | {name: seen[through[name]] for name in chosen if through.get(name) in seen}


class _Watch:
    """What was seen so far."""

    def __init__(self, channelled: frozenset[str], dataset: Dataset) -> None:
        self.observed: dict[str, Observed] = {}
        self._channelled = channelled
        self._dataset = dataset
        self._variety = Variety(dataset.layout)

    def run(
        self, model: ModelProto, plan: Passes, group: Sequence[str], *, inputs: bool
    ) -> Iterator[int]:
        """Run the whole set and watch a group of tensors; yields how many samples are done."""
        probe = Probe(exposing(model, group), self._dataset.layout)
        done = 0
        for feed in self._dataset.batches(plan.size, probe.inputs):
            samples = probe.samples(feed)
            if inputs:
                self._variety.add(feed)
                self._inputs(feed, samples, done)
            answers = probe.look(feed)
            for name in group:
                values = answers.pop(name)
                spread = _spread(values) if name in self._channelled else None
                self._add(name, plan.rows(name, values, samples), done, spread)
            done += samples
            yield done

    def check(self, step: Step) -> None:
        variety.check(self._dataset, self.observed, self._variety, step)

    def _inputs(self, feed: Arrays, samples: int, first: int) -> None:
        for name, values in feed.items():
            if name in self._dataset.layout.constant:
                self._add(name, np.broadcast_to(values, (samples, *values.shape)), first)
            elif values.dtype == object:  # samples of unequal shapes
                for place, sample in enumerate(values):
                    self._add(name, np.asarray(sample)[None], first + place)
            else:
                self._add(name, values, first)

    def _add(
        self,
        name: str,
        rows: NDArray[np.generic],
        first: int,
        spread: tuple[int, int] | None = None,
    ) -> None:
        if rows.size and rows.dtype.kind in NUMBERS:
            self.observed.setdefault(name, Observed()).add(rows, first, spread)


def _spread(values: NDArray[np.generic]) -> tuple[int, int]:
    return values.shape[1], math.prod(values.shape[2:])


def _plan(model: ModelProto, names: Sequence[str], dataset: Dataset, limit: int) -> Passes:
    inputs = [value.name for value in fed(model)]
    inner = [name for name in names if name not in inputs]
    feed = next(iter(dataset.batches(1, inputs)))
    found, length = extents(model, inner, feed, dataset.layout)
    return passes.plan(found, batch=dataset.layout.size, length=length, limit=limit)
