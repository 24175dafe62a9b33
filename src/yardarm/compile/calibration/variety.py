"""Calibration data from which nothing can be learnt: all values, or all samples, the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from yardarm.artifacts import Layout
from yardarm.compile.calibration.observed import Observed
from yardarm.compile.session import Feed
from yardarm.datasets import Dataset
from yardarm.errors import InvalidInput
from yardarm.events import Step


class Variety:
    """Whether samples differ. Holds the first one, and looks no further than a second kind."""

    def __init__(self, layout: Layout) -> None:
        self._constant = layout.constant
        self._first: dict[str, NDArray[np.generic]] = {}
        self.samples = 0
        self.found = False

    def add(self, feed: Feed) -> None:
        """Take in a batch, sample axis first."""
        moving = {name: values for name, values in feed.items() if name not in self._constant}
        if self.found or not moving:
            return
        self._first = self._first or {name: np.array(rows[0]) for name, rows in moving.items()}
        self.samples += len(next(iter(moving.values())))
        self.found = any(
            not np.array_equal(self._first[name], row)
            for name, rows in moving.items()
            for row in rows
        )


def check(dataset: Dataset, observed: Mapping[str, Observed], variety: Variety, step: Step) -> None:
    """
    Raises:
        InvalidInput: a float input has the same value everywhere, or all samples are the same.
    """
    for name in [name for name in dataset.names if name in observed]:
        _check_values(dataset, name, observed[name], step)
    if variety.samples > 1 and not variety.found:
        raise InvalidInput(
            f"all {variety.samples} samples are the same",
            where=str(dataset.file),
            hint="calibrate with samples as the model will meet them",
        )


def _check_values(dataset: Dataset, name: str, seen: Observed, step: Step) -> None:
    if name in dataset.layout.constant or seen.count < 2 or seen.low != seen.high:
        return
    if dataset.members[name].dtype.kind != "f":
        # Masks of full length and types of a single segment are right: they need no range.
        step.note(f"{name}: every value of the calibration data is {seen.low:g}", "warning")
        return
    raise InvalidInput(
        f"every value is {seen.low:g}, which says nothing of the ranges to expect",
        where=f"{dataset.file}: {name}",
        hint="calibrate with real values, or name it under `constant_inputs` if it never changes",
    )
