"""The engine: onnxruntime's CPU provider behind the few operations that the verbs need."""

from __future__ import annotations

import functools
import hashlib
import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _states

from yardarm_runtime import layout
from yardarm_runtime.problems import Problem

# The binding's exceptions share no base but Exception, and every version adds some.
REFUSALS = tuple(
    item
    for item in vars(_states).values()
    if isinstance(item, type) and issubclass(item, Exception)
) + (RuntimeError, ValueError)

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
}


class Port(NamedTuple):
    """An input or output of the model; None in `shape` is an axis of any length."""

    name: str
    dtype: Any
    shape: Tuple[Optional[int], ...]


class Engine:
    """A loaded model, and how the bundle's manifest says that it is fed (`layout`).

    Args:
        bundle: the folder that holds `model.onnx`, and `manifest.json` unless the layout is
            the usual one.
        threads: intra-op threads. They don't spin: a device has other work too.
        options: onnxruntime's session options instead of those of `threads`.

    Raises:
        Problem: no such file, or onnxruntime does not load it.
    """

    def __init__(self, bundle: str, threads: int = 1, options: Any = None) -> None:
        self.path = os.path.join(bundle, "model.onnx")
        self.layout = layout.read(bundle)
        if not os.path.isfile(self.path):
            raise Problem("there is no model: %s" % self.path)
        try:
            self.session = onnxruntime.InferenceSession(
                self.path, options or settings(threads), providers=["CPUExecutionProvider"]
            )
        except REFUSALS as error:
            raise Problem("%s can't be loaded: %s" % (self.path, error)) from None
        self.inputs = tuple(_port(item) for item in self.session.get_inputs())
        self.outputs = tuple(_port(item) for item in self.session.get_outputs())
        self._names = [port.name for port in self.outputs]

    @property
    def batch(self) -> Optional[int]:
        """The fixed length of the sample axis; None where the model leaves it open. Without
        a batch axis samples go one by one."""
        if not self.layout.batch:
            return 1
        axes = self.layout.input_axis
        lengths = {
            port.shape[axes.get(port.name, 0)]
            for port in self.inputs
            if port.name not in self.layout.constant
            and -len(port.shape) <= axes.get(port.name, 0) < len(port.shape)
        }
        return lengths.pop() if len(lengths) == 1 else None

    def digest(self) -> str:
        """Of the model file, as it is read."""
        hashed = hashlib.sha256()
        with open(self.path, "rb") as stream:
            for part in iter(lambda: stream.read(1 << 20), b""):
                hashed.update(part)
        return "sha256:" + hashed.hexdigest()

    def check(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Raises Problem unless names, dtypes and shapes are the model's."""
        wanted = {port.name for port in self.inputs}
        if set(feeds) != wanted:
            raise Problem(
                "arrays %s are given, the model takes %s" % (sorted(feeds), sorted(wanted))
            )
        for port in self.inputs:
            _check(port, feeds[port.name])

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Dict[str, np.ndarray[Any, Any]]:
        """All outputs by name. Raises Problem where the model can't run on these inputs."""
        try:
            return dict(zip(self._names, self.session.run(self._names, dict(feeds))))
        except REFUSALS as error:
            raise Problem("the model can't run on these inputs: %s" % error) from None

    def bound(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Callable[[], Any]:
        """One inference of `feeds` with nothing left to prepare; outputs stay in the engine.

        The outputs of one run give the shapes for which memory is set aside: the same
        inputs have outputs of the same shape.
        """
        binding = self.session.io_binding()
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, _value(array))
        for name, array in self.run(feeds).items():
            binding.bind_ortvalue_output(name, _value(array))
        return functools.partial(self.session.run_with_iobinding, binding)


def _value(array: np.ndarray[Any, Any]) -> Any:
    """A copy in the engine's own memory, which the binding keeps alive."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def settings(threads: int) -> Any:
    """onnxruntime's session options for this many intra-op threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _port(item: Any) -> Port:
    if item.type not in _TYPES:
        raise Problem("%r is a %s, which is not supported" % (item.name, item.type))
    shape = tuple(axis if isinstance(axis, int) else None for axis in item.shape)
    return Port(item.name, np.dtype(_TYPES[item.type]), shape)


def _check(port: Port, array: np.ndarray[Any, Any]) -> None:
    if array.dtype != port.dtype:
        raise Problem("%r is %s, the model takes %s" % (port.name, array.dtype, port.dtype))
    fits = len(array.shape) == len(port.shape) and all(
        wanted in (None, given) and given > 0 for given, wanted in zip(array.shape, port.shape)
    )
    if not fits:
        shape = [axis or "any" for axis in port.shape]
        raise Problem("%r has shape %s, the model takes %s" % (port.name, list(array.shape), shape))


def in_batches(
    engine: Engine, feeds: Mapping[str, np.ndarray[Any, Any]]
) -> Dict[str, np.ndarray[Any, Any]]:
    """Run [n, …] samples, and constant inputs whole with each, as the model wants them.

    It may want another, fixed number of samples at a time: a short last group is filled up
    with its last sample, and the answer cut again.

    Raises:
        Problem: they don't fit the model, or its answers can't be put together again.
    """
    count = samples_of(engine, feeds)
    size = engine.batch or count
    parts = []
    for begin in range(0, count, size):
        fed = fed_at(engine, feeds, begin, size)
        engine.check(fed)
        kept = min(size, count - begin)
        outputs = engine.run(fed)
        parts.append({name: _cut(engine, name, outputs[name], size, kept) for name in outputs})
    return {name: _joined(name, [part[name] for part in parts]) for name in parts[0]}


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
