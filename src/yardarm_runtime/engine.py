"""The engine: onnxruntime's CPU provider behind the few operations that the verbs need."""

from __future__ import annotations

import functools
import hashlib
import os
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _states

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
    """A loaded model.

    Args:
        bundle: the folder that holds `model.onnx`.
        threads: intra-op threads. They don't spin: a device has other work too.

    Raises:
        Problem: no such file, or onnxruntime does not load it.
    """

    def __init__(self, bundle: str, threads: int = 1) -> None:
        self.path = os.path.join(bundle, "model.onnx")
        if not os.path.isfile(self.path):
            raise Problem("there is no model: %s" % self.path)
        try:
            self.session = onnxruntime.InferenceSession(
                self.path, _options(threads), providers=["CPUExecutionProvider"]
            )
        except REFUSALS as error:
            raise Problem("%s can't be loaded: %s" % (self.path, error)) from None
        self.inputs = tuple(_port(item) for item in self.session.get_inputs())
        self.outputs = tuple(_port(item) for item in self.session.get_outputs())
        self._names = [port.name for port in self.outputs]

    @property
    def batch(self) -> Optional[int]:
        """The fixed length of the sample axis; None where the model leaves it open."""
        lengths = {port.shape[0] for port in self.inputs if port.shape}
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


def _options(threads: int) -> Any:
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
    """Run [n, …] samples through a model that may want another, fixed number at a time.

    A short last group is filled up with its last sample, and the answer cut again.
    """
    count = next(iter(feeds.values())).shape[0]
    size = engine.batch or count
    parts = []
    for begin in range(0, count, size):
        group = {name: array[begin : begin + size] for name, array in feeds.items()}
        kept = next(iter(group.values())).shape[0]
        filled = {name: _fill(array, size) for name, array in group.items()}
        engine.check(filled)
        outputs = engine.run(filled)
        parts.append({name: _cut(name, array, size, kept) for name, array in outputs.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _fill(array: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    missing = size - array.shape[0]
    return np.concatenate([array, np.repeat(array[-1:], missing, 0)]) if missing else array


def _cut(name: str, array: np.ndarray[Any, Any], size: int, kept: int) -> np.ndarray[Any, Any]:
    if not array.shape or array.shape[0] != size:
        raise Problem("output %r has shape %s: axis 0 is not the sample" % (name, array.shape))
    return array[:kept]
