"""`statistics.json`: what calibration saw, and the inputs' distribution that drift is
measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yardarm.compile.calibration.audit import audit
from yardarm.compile.calibration.histogram import SIDE, Histogram
from yardarm.compile.calibration.observed import Observed
from yardarm.compile.calibration.ranges import Range, Rule

SCHEMA = "yardarm.statistics/1"
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 64


def statistics(
    observed: Mapping[str, Observed],
    ranges: Mapping[str, Range],
    inputs: Sequence[str],
    rules: Mapping[str, Rule] | None = None,
) -> dict[str, Any]:
    """Per tensor `low`, `high`, `mean` and, where it became int8, the `range` represented;
    per input its quantiles and a histogram as well. Tensors with NaN or infinity are left
    out, for JSON has no word for them. A sum that only a Relu or Clip reads is told as that
    passes it on, as `calibrate` sees it.

    Args:
        rules: by what rule each range was chosen, for the `audit`, whose form `audit.audit`
            describes.
    """
    known = {name: seen for name, seen in observed.items() if seen.finite}
    return {
        "schema": SCHEMA,
        "tensors": {
            name: _extremes(seen) | ({"range": list(ranges[name])} if name in ranges else {})
            for name, seen in known.items()
        },
        "inputs": {name: _distribution(known[name]) for name in inputs if name in known},
        "audit": audit(observed, rules or {}),
    }


def _extremes(seen: Observed) -> dict[str, Any]:
    return {"low": seen.low, "high": seen.high, "mean": seen.mean}


def _distribution(seen: Observed) -> dict[str, Any]:
    return _extremes(seen) | {
        "quantiles": {str(share): seen.histogram.quantile(share) for share in QUANTILES},
        "histogram": _coarse(seen.histogram),
    }


def _coarse(histogram: Histogram) -> dict[str, list[float] | list[int]]:
    """`counts` [n] between `edges` [n + 1]: wide bins, empty ones cut off at both ends."""
    width = 2 * SIDE // BINS
    counts = histogram.counts.reshape(-1, width).sum(axis=1)
    filled = np.flatnonzero(counts)
    first, last = int(filled[0]), int(filled[-1]) + 1
    edges = histogram.edges[::width][first : last + 1]
    return {"edges": edges.tolist(), "counts": counts[first:last].tolist()}
