"""Whether two models answer alike, and where not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-3
"""Share of an output's spread: folding, fusing and other kernels reorder float32 sums."""

Arrays = Mapping[str, NDArray[np.generic]]


def difference(expected: Arrays, found: Arrays, tolerance: float = TOLERANCE) -> str:
    """The first output that differs, with by how much; empty where all agree.

    Numbers with a fraction may differ by `tolerance` of the spread of the expected ones; all
    else is equal or differs. NaN equals NaN.
    """
    for name, values in expected.items():
        if name not in found:
            return f"there is no output {name!r}"
        if told := _differs(values, found[name], tolerance):
            return f"output {name!r} {told}"
    return ""


def _differs(expected: NDArray[np.generic], found: NDArray[np.generic], tolerance: float) -> str:
    if expected.dtype == object and found.dtype == object and expected.shape == found.shape:
        pairs = zip(expected.reshape(-1), found.reshape(-1), strict=True)
        return next(filter(None, (_entry(one, two, tolerance) for one, two in pairs)), "")
    if expected.shape != found.shape:
        return f"has the shape {list(found.shape)}, not {list(expected.shape)}"
    if expected.dtype != found.dtype:
        return f"is of {found.dtype}, not {expected.dtype}"
    if expected.dtype.kind != "f":
        unlike = int(np.count_nonzero(expected != found))
        return f"differs in {unlike} of {expected.size} values" if unlike else ""
    return _off(expected, found, tolerance)


def _entry(expected: object, found: object, tolerance: float) -> str:
    """An entry of an array of arrays, or of text."""
    if isinstance(expected, np.ndarray) and isinstance(found, np.ndarray):
        return _differs(expected, found, tolerance)
    return "" if expected == found else f"is {found!r}, not {expected!r}"


def _off(expected: NDArray[np.generic], found: NDArray[np.generic], tolerance: float) -> str:
    allowed = tolerance * spread(np.asarray(expected, np.float64)) + 1e-6
    error = furthest(expected, found)
    if error == np.inf:
        return "differs in values that are not finite"
    return (
        f"differs by up to {error:.3g}, where {allowed:.3g} is allowed" if error > allowed else ""
    )


def furthest(expected: NDArray[np.generic], found: NDArray[np.generic]) -> float:
    """The largest difference of two arrays of one shape; infinite where NaN or infinity stands
    in one place only."""
    one, two = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    same = (one == two) | (np.isnan(one) & np.isnan(two))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(one - two))
    error[np.isnan(error)] = np.inf
    return float(error.max(initial=0.0))


def spread(values: NDArray[np.float64]) -> float:
    """Highest less lowest finite value; the largest magnitude where all are equal."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0
    return float(np.ptp(finite)) or float(np.abs(finite).max())
