"""Inputs and outputs of a model, and whether arrays fit them."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from yardarm_runtime.problems import Problem


class Port(NamedTuple):
    """An input or output of the model; None in `shape` is an axis of any length, or of one
    from `least` to `most`, which are shapes too, where an engine has such bounds."""

    name: str
    dtype: Any
    shape: Tuple[Optional[int], ...]
    least: Tuple[int, ...] = ()
    most: Tuple[int, ...] = ()


def check(ports: Sequence[Port], feeds: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Raises Problem unless names, dtypes and shapes are those of the ports."""
    wanted = {port.name for port in ports}
    if set(feeds) != wanted:
        raise Problem("arrays %s are given, the model takes %s" % (sorted(feeds), sorted(wanted)))
    for port in ports:
        _check(port, feeds[port.name])


def _check(port: Port, array: np.ndarray[Any, Any]) -> None:
    if array.dtype != port.dtype:
        raise Problem("%r is %s, the model takes %s" % (port.name, array.dtype, port.dtype))
    given = array.shape
    fits = len(given) == len(port.shape) and all(
        wanted in (None, length) and length > 0 for length, wanted in zip(given, port.shape)
    )
    if not fits:
        shape = [axis or "any" for axis in port.shape]
        raise Problem("%r has shape %s, the model takes %s" % (port.name, list(given), shape))
    bounds = zip(port.least, given, port.most)
    if not all(least <= length <= most for least, length, most in bounds):
        raise Problem(
            "%r has shape %s, the engine takes from %s to %s"
            % (port.name, list(given), list(port.least), list(port.most))
        )


class Ports(NamedTuple):
    """Those of a model, as the user knows them; empty where nobody tells."""

    inputs: Tuple[Port, ...] = ()
    outputs: Tuple[Port, ...] = ()


def declared(manifest: Mapping[str, Any]) -> Ports:
    """What a manifest says. Raises Problem where it can't be read."""
    try:
        return Ports(_ports(manifest.get("inputs", ())), _ports(manifest.get("outputs", ())))
    except (KeyError, TypeError, ValueError) as error:
        raise Problem("the manifest's inputs and outputs can't be read: %r" % error) from None


def _ports(items: Sequence[Mapping[str, Any]]) -> Tuple[Port, ...]:
    return tuple(
        Port(str(item["name"]), np.dtype(item["dtype"]), _shape(item["shape"])) for item in items
    )


def _shape(axes: Sequence[Any]) -> Tuple[Optional[int], ...]:
    """Anything but a number is an axis of any length."""
    return tuple(axis if isinstance(axis, int) and axis >= 0 else None for axis in axes)
