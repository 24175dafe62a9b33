"""The metrics that need no code of the project's own: each sample's part in them.

Outputs and labels have the sample axis first. Where samples differ in shape both are arrays
of arrays, and every sample is scored by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from yardarm.errors import InvalidInput

Array = NDArray[np.generic]
Scores = NDArray[np.float64]


def top1(values: Array, labels: Array) -> Scores:
    """The share of a sample's decisions (argmax over the last axis) that are the label's.

    Args:
        values: [N, …, classes].
        labels: integers [N, …], from 0.

    Returns:
        [N], 0 or 1 where a sample has one decision.
    """
    return _each(_right, values, labels)


def threshold(values: Array, labels: Array, least: float) -> Scores:
    """The share of a sample's values that are on their label's side of `least`.

    Args:
        values: [N, …] or [N, …, 1]; from `least` on a value says yes.
        labels: 0 or 1, [N, …].

    Returns:
        [N].
    """
    return _each(lambda v, t: _mean(yes(v, t, least) == _flags(t)), values, labels)


def mse(values: Array, labels: Array) -> Scores:
    """Each sample's mean squared difference; both [N, …] of the same shape. Returns [N]."""
    return _each(lambda v, t: _mean((_real(v) - _real(t)) ** 2), *_alike("mse", values, labels))


def cosine(values: Array, labels: Array) -> Scores:
    """Each sample's cosine between output and label, flattened; both [N, …] of the same shape.

    Returns:
        [N] from -1 to 1; where one of them is all zero 0, where both are 1.
    """
    return _each(_cosine, *_alike("cosine", values, labels))


def counts(values: Array, labels: Array, average: str, least: float | None) -> Scores:
    """What F1 is made of: hits, false alarms and misses of each class, for each sample.

    Args:
        values: [N, …, classes], decided by argmax; or [N, …] or [N, …, 1] with `least`, from
            which on a value says class 1, else 0.
        labels: integers [N, …].
        average: "binary": class 1 alone; "macro": every class of the labels.

    Returns:
        [N, 3 · classes].
    """
    wanted = np.unique(np.concatenate([np.ravel(item) for item in _parts(labels)]))
    chosen = np.array([1]) if average == "binary" else wanted

    def one(value: Array, label: Array) -> Scores:
        told = _decided(value, label, least)
        truth = label.reshape(len(label), -1)
        found, meant = (side[:, :, None] == chosen for side in (told, truth))
        sums = [(found & meant).sum(1), (found & ~meant).sum(1), (~found & meant).sum(1)]
        return np.asarray(np.concatenate(sums, axis=1), np.float64)

    return _each(one, values, labels)


def f1(sums: Scores) -> Scores:
    """F1 from sums of `counts` [B, 3 · classes]: the mean over the classes that occur.

    F1 = 2 hits / (2 hits + false alarms + misses); 1 where there is nothing to find and
    nothing is found.
    """
    hits, alarms, misses = np.split(sums, 3, axis=1)
    among = 2 * hits + alarms + misses
    share = np.divide(2 * hits, among, out=np.ones_like(hits), where=among > 0)
    meant = hits + misses > 0
    meant[~meant.any(axis=1)] = True
    return np.asarray((share * meant).sum(axis=1) / meant.sum(axis=1), np.float64)


def yes(values: Array, labels: Array, least: float) -> NDArray[np.bool_]:
    """Which values reach `least`, in the labels' shape.

    Raises:
        InvalidInput: neither the labels' shape nor that with a last axis of 1.
    """
    if values.shape == (*labels.shape, 1):
        values = values[..., 0]
    if values.shape != labels.shape:
        raise _misfit("a threshold", "[samples, …]", values, labels)
    return np.asarray(np.asarray(values, np.float64) >= least)


def _decided(values: Array, labels: Array, least: float | None) -> NDArray[np.int64]:
    _integers(labels, "f1")
    if values.ndim == labels.ndim + 1 and values.shape[-1] > 1:
        return _classes("f1", values, labels)
    if least is None:
        raise InvalidInput(
            f"f1 needs outputs [samples, …, classes], found {list(values.shape)}",
            where="metric",
            hint="set `threshold` under [metric] where the output is one value a decision",
        )
    return np.asarray(yes(values, labels, least), np.int64).reshape(len(labels), -1)


def _right(values: Array, labels: Array) -> Scores:
    told = _classes("top1", values, labels)
    _integers(labels, "top1")
    if labels.size and not 0 <= labels.min() <= labels.max() < values.shape[-1]:
        raise InvalidInput(
            f"labels run from {labels.min()} to {labels.max()}, "
            f"but the output has the classes 0 to {values.shape[-1] - 1}",
            where="metric",
            hint="number the labels as the model's output does",
        )
    return _mean(told == labels.reshape(len(labels), -1))


def _classes(metric: str, values: Array, labels: Array) -> NDArray[np.int64]:
    """[N, decisions]."""
    if values.ndim < 2 or labels.shape != values.shape[:-1]:
        raise _misfit(metric, "[samples, …, classes]", values, labels)
    told = np.asarray(np.argmax(values, axis=-1), np.int64)
    return told.reshape(len(labels), -1)


def _real(values: Array) -> Scores:
    return np.asarray(values, np.float64)


def _cosine(values: Array, labels: Array) -> Scores:
    rows = [_real(side).reshape(len(side), -1) for side in (values, labels)]
    lengths = [np.linalg.norm(side, axis=1) for side in rows]
    product = lengths[0] * lengths[1]
    both = (lengths[0] == 0) & (lengths[1] == 0)
    inner = np.einsum("nk,nk->n", rows[0], rows[1])
    found = np.divide(inner, product, out=both.astype(np.float64), where=product > 0)
    return np.asarray(np.clip(found, -1, 1), np.float64)


def _alike(metric: str, values: Array, labels: Array) -> tuple[Array, Array]:
    for value, label in zip(_parts(values), _parts(labels), strict=False):
        if value.shape != label.shape or label.dtype.kind not in "iufb":
            raise InvalidInput(
                f"{metric} needs outputs and labels of one shape, in numbers; "
                f"found {list(value.shape)} and {list(label.shape)} of {label.dtype}",
                where="metric",
            )
    return values, labels


def _integers(labels: Array, metric: str) -> None:
    if labels.dtype.kind not in "iub":
        raise InvalidInput(
            f"labels are integers for {metric}, found {labels.dtype}", where="metric"
        )


def _flags(labels: Array) -> NDArray[np.bool_]:
    if labels.dtype.kind not in "iufb" or not np.isin(labels, (0, 1)).all():
        raise InvalidInput("labels are 0 or 1 for threshold", where="metric")
    return np.asarray(labels, np.bool_)


def _mean(values: Array) -> Scores:
    """A sample's mean over all its other axes; that of nothing is 0."""
    rows = np.asarray(values, np.float64).reshape(len(values), -1)
    return rows.mean(axis=1) if rows.shape[1] else np.zeros(len(rows))


def _parts(values: Array) -> Sequence[Array]:
    return [np.asarray(item)[None] for item in values] if values.dtype == object else [values]


def _each(score: Callable[[Array, Array], Scores], values: Array, labels: Array) -> Scores:
    """`score` over everything at once, or over ragged samples one by one."""
    if object not in (values.dtype, labels.dtype):
        return score(values, labels)
    if len(values) != len(labels):
        raise _misfit("the metric", "[samples, …]", values, labels)
    pairs = zip(values, labels, strict=True)
    return np.concatenate([score(np.asarray(v)[None], np.asarray(t)[None]) for v, t in pairs])


def _misfit(metric: str, form: str, values: Array, labels: Array) -> InvalidInput:
    return InvalidInput(
        f"{metric} needs outputs {form} and one label a sample or frame, "
        f"found {list(values.shape)} and {list(labels.shape)}",
        where="metric",
    )
