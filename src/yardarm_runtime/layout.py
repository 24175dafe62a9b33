"""How samples become what a model is fed, as the bundle's manifest.json says it.

Arrays have the sample axis first; a model may want it elsewhere, or not at all.
"""

from __future__ import annotations

import os
from typing import Any, Dict, FrozenSet, Mapping, NamedTuple

import numpy as np

from yardarm_runtime import manifest
from yardarm_runtime.problems import Problem


class Layout(NamedTuple):
    """`batch` 0: samples are fed one by one, without a batch axis. `constant` are inputs that
    are fed whole with every batch. Axes that are not 0 are given by name."""

    batch: int = 32
    constant: FrozenSet[str] = frozenset()
    input_axis: Mapping[str, int] = {}
    output_axis: Mapping[str, int] = {}

    def put(self, name: str, samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """[n, …] as the model takes it; with batch 0 there is one sample."""
        if not self.batch:
            return np.asarray(samples[0])
        axis = self.input_axis.get(name, 0)
        if not -samples.ndim <= axis < samples.ndim:
            raise Problem("%r has no axis %d for the samples" % (name, axis))
        return np.ascontiguousarray(np.moveaxis(samples, 0, axis)) if axis else samples

    def taken(self, name: str, answer: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What the model answers, as [n, …]; as it is where it has no such axis."""
        if not self.batch:
            return answer[None]
        axis = self.output_axis.get(name, 0)
        if not axis or not -answer.ndim <= axis < answer.ndim:
            return answer
        return np.moveaxis(answer, axis, 0)


def read(bundle: str) -> Layout:
    """The layout of the bundle in that folder; the usual one where it says none.

    Raises:
        Problem: the manifest can't be read, or is none.
    """
    body = manifest.read(bundle)
    try:
        options = body.get("options", {})
        return Layout(
            int(options.get("batch", 32)),
            frozenset(options.get("constant_inputs", ())),
            _axes(options.get("input_batch_axis", {})),
            _axes(options.get("output_batch_axis", {})),
        )
    except (ValueError, TypeError, AttributeError) as error:
        path = os.path.join(bundle, "manifest.json")
        raise Problem("%s can't be read: %s" % (path, error)) from None


def _axes(found: Mapping[str, Any]) -> Dict[str, int]:
    return {name: int(axis) for name, axis in found.items()}
