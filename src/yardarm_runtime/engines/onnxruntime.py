"""onnxruntime, by default on its CPU provider."""

from __future__ import annotations

import functools
import glob
import json
import os
import statistics
from typing import Any, Dict, List, Mapping, Sequence, Union

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _states

from yardarm_runtime.engines.engine import Bound, Engine
from yardarm_runtime.engines.ports import Port
from yardarm_runtime.problems import Problem

# The binding's exceptions share no base but Exception, and every version adds some.
REFUSALS = tuple(
    item
    for item in vars(_states).values()
    if isinstance(item, type) and issubclass(item, Exception)
) + (RuntimeError, ValueError)

CPU = "CPUExecutionProvider"
SUFFIX = "_kernel_time"

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

Providers = Sequence[Union[str, Any]]


class OnnxRuntime(Engine):
    """A session of onnxruntime.

    Args:
        bundle: as every engine's.
        threads: intra-op threads. They don't spin: a device has other work too.
        options: onnxruntime's session options instead of those of `threads`.
        providers: where it runs, as onnxruntime takes them.

    Raises:
        Problem: no such file, or onnxruntime does not load it.
    """

    refusals = REFUSALS

    def __init__(
        self, bundle: str, threads: int = 1, options: Any = None, providers: Providers = (CPU,)
    ) -> None:
        Engine.__init__(self, bundle)
        self._bundle = bundle
        self._threads = threads
        self._providers = list(providers)
        try:
            self._session = onnxruntime.InferenceSession(
                self.path, options or settings(threads), providers=self._providers
            )
        except REFUSALS as error:
            raise Problem("%s can't be loaded: %s" % (self.path, error)) from None
        self.inputs = tuple(_port(item) for item in self._session.get_inputs())
        self.outputs = tuple(_port(item) for item in self._session.get_outputs())
        self._names = [port.name for port in self.outputs]

    @property
    def providers(self) -> List[str]:
        """Those that the session has: onnxruntime leaves out what it can't load."""
        return list(self._session.get_providers())

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Dict[str, np.ndarray[Any, Any]]:
        try:
            return dict(zip(self._names, self._session.run(self._names, dict(feeds))))
        except REFUSALS as error:
            raise Problem("the model can't run on these inputs: %s" % error) from None

    def bound(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Bound:
        """The outputs of one run give the shapes for which memory is set aside: the same
        inputs have outputs of the same shape."""
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, _value(array))
        for name, array in self.run(feeds).items():
            binding.bind_ortvalue_output(name, _value(array))
        return Bound(functools.partial(self._session.run_with_iobinding, binding))

    def operators(
        self, feeds: Mapping[str, np.ndarray[Any, Any]], runs: int, warmup: int, output: str
    ) -> Dict[str, float]:
        """Writes optimised.onnx, the graph that runs."""
        prefix = os.path.join(output, "profile")
        options = settings(self._threads)
        options.enable_profiling = True
        options.profile_file_prefix = prefix
        options.optimized_model_filepath = os.path.join(output, "optimised.onnx")
        profiled = OnnxRuntime(self._bundle, self._threads, options, self._providers)
        for _index in range(warmup + runs):
            profiled.run(feeds)
        written = profiled._session.end_profiling() or glob.glob(prefix + "*")[0]
        with open(written, encoding="utf-8") as stream:
            events = json.load(stream)
        os.unlink(written)  # megabytes that nobody asks for
        return medians(events, warmup)

    def for_answers(self, threads: int) -> Engine:
        if threads == self._threads or self._providers != [CPU]:
            return self
        return OnnxRuntime(self._bundle, threads)

    def versions(self) -> Dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__}

    def facts(self) -> Dict[str, Any]:
        return {"route": "onnxruntime", "providers": self.providers}


def medians(events: List[Dict[str, Any]], warmup: int) -> Dict[str, float]:
    """Median microseconds by node name, without the first `warmup` times of each node."""
    times = {}  # type: Dict[str, List[float]]
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(SUFFIX):
            times.setdefault(event["name"][: -len(SUFFIX)], []).append(event["dur"])
    return {name: statistics.median(held[warmup:] or held) for name, held in times.items()}


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
