"""Fewer points with the same shape: bins for a distribution, buckets for a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yardarm.report.scales import Scale

MOST_BINS = 60
MOST_POINTS = 600
BUCKETS = 220


@dataclass(frozen=True)
class Bucket:
    """Neighbouring samples: the middle of their places, and their range."""

    place: float
    low: float
    middle: float
    high: float


def histogram(values: Sequence[float], axis: Scale) -> tuple[list[int], list[float]]:
    """Counts and edges over equally wide bins of the axis.

    The number of bins is Freedman and Diaconis' (1981): 2 × IQR / n^(1/3) wide, measured
    on the axis as drawn, between 8 and `MOST_BINS`.
    """
    drawn = np.array([axis(value) for value in values])
    spread = float(np.subtract(*np.percentile(drawn, [75, 25]))) if len(drawn) else 0.0
    width = 2 * spread / max(len(drawn), 1) ** (1 / 3)
    room = abs(axis.end - axis.start)
    count = int(min(max(room / width, 8), MOST_BINS)) if width > room / 1e6 else MOST_BINS
    ends = np.linspace(min(axis.start, axis.end), max(axis.start, axis.end), count + 1)
    return np.histogram(drawn, ends)[0].tolist(), axis.edges(count)


def buckets(places: Sequence[float], values: Sequence[float], most: int = BUCKETS) -> list[Bucket]:
    """At most `most` buckets of neighbouring samples, in the order of the places."""
    order = np.argsort(np.asarray(places, dtype=np.float64), kind="stable")
    along = np.asarray(places, dtype=np.float64)[order]
    heights = np.asarray(values, dtype=np.float64)[order]
    parts = min(most, len(order))
    return [
        Bucket(float(x.mean()), float(y.min()), float(np.median(y)), float(y.max()))
        for x, y in zip(
            np.array_split(along, parts) if parts else [],
            np.array_split(heights, parts) if parts else [],
            strict=True,
        )
    ]
