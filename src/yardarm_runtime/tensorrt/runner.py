"""An engine on the GPU: pinned buffers, one stream, events beside the clock."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Mapping, Tuple

import numpy as np

from yardarm_runtime.cuda import Cuda
from yardarm_runtime.engines.engine import Bound
from yardarm_runtime.engines.ports import Port, Ports
from yardarm_runtime.problems import Broken, Problem
from yardarm_runtime.tensorrt.generation import Tensor, generation_of, title
from yardarm_runtime.tensorrt.journal import Journal, logger_for

Arrays = Mapping[str, "np.ndarray[Any, Any]"]

NOBODY = Ports()

NARROWER = {"int64": "int32", "float64": "float32"}
"""What TensorRT before 10 makes of types that it doesn't have."""


class Buffer:
    """Pinned memory and as much of the device's, for one input or output."""

    def __init__(self, cuda: Cuda, size: int) -> None:
        self.size = size
        self._cuda = cuda
        self._host = cuda.pinned((size,), np.uint8)
        try:
            self.pointer = cuda.allocate(size)
        except Problem:
            cuda.free_pinned(self._host)
            raise

    def view(self, shape: Tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return np.asarray(self._host[:size].view(dtype).reshape(shape))

    def free(self) -> None:
        self._cuda.free(self.pointer)
        self._cuda.free_pinned(self._host)


class Runner:
    """Runs a plan. Not for several threads at once.

    Args:
        trt: TensorRT's module.
        plan: an engine whose key and digest were checked.
        ports: inputs and outputs as the user knows them; those of the engine where they are
            missing. Where the engine has a narrower type, values are converted; an input that it
            has left out, since nothing uses it, is passed over.

    Attributes:
        inputs, outputs: the ports, with the bounds of the engine's profile.

    Raises:
        Problem: TensorRT refuses the plan, or the memory does not suffice.
    """

    def __init__(self, trt: Any, cuda: Cuda, plan: bytes, ports: Ports = NOBODY) -> None:
        self._cuda = cuda
        self._journal = Journal()
        self._generation = generation_of(trt)
        self._logger = logger_for(trt, self._journal)
        trt.init_libnvinfer_plugins(self._logger, "")  # engines refer to them by name
        self._buffers: Dict[str, Buffer] = {}
        self._handles: List[Callable[[], None]] = []
        self._shapes: Dict[str, Tuple[int, ...]] = {}
        self._enqueue: Callable[[], bool] = _never
        self._views: Dict[str, np.ndarray[Any, Any]] = {}
        try:
            self._load(trt, plan)
            self._match(ports)
            self._stream = self._held(cuda.stream(), cuda.free_stream)
            self._begin = self._held(cuda.event(), cuda.free_event)
            self._end = self._held(cuda.event(), cuda.free_event)
        except BaseException:
            self.close()
            raise

    def _load(self, trt: Any, plan: bytes) -> None:
        self._context = self._engine = None
        runtime = trt.Runtime(self._logger)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise Problem("%s refuses the engine: %s" % (title(trt), self._journal.text()))
        context = engine.create_execution_context()
        if context is None:
            raise Problem("there is no room to run the engine: %s" % self._journal.text())
        self._runtime, self._engine, self._context = runtime, engine, context

    def _match(self, ports: Ports) -> None:
        self._tensors = {item.name: item for item in self._generation.tensors(self._engine)}
        if not ports.outputs:
            ports = _own(self._tensors.values())
        inputs, outputs = ({port.name for port in side} for side in ports)
        found = set(self._tensors)
        if not outputs <= found <= inputs | outputs:
            raise Problem(
                "the engine has inputs and outputs %s, the manifest %s"
                % (sorted(found), sorted(inputs | outputs))
            )
        self.inputs = tuple(
            _port(self._tensors[port.name], port) if port.name in found else port
            for port in ports.inputs
        )
        self.outputs = tuple(_port(self._tensors[port.name], port) for port in ports.outputs)

    def _held(self, handle: int, free: Callable[[int], None]) -> int:
        self._handles.append(lambda: free(handle))
        return handle

    def run(self, feeds: Arrays) -> Dict[str, np.ndarray[Any, Any]]:
        """All outputs by name; `feeds` have been checked against `inputs`.

        Raises:
            Problem: a value doesn't fit the engine's type, or there is no room.
            Broken: TensorRT or CUDA fail while they work.
        """
        self._prepare(feeds)
        self._infer()
        return {port.name: self._views[port.name].astype(port.dtype) for port in self.outputs}

    def bound(self, feeds: Arrays) -> Bound:
        """One inference from pinned memory to pinned memory: copies there and back are in the
        wall time, and not in what the device tells."""
        self._prepare(feeds)
        return Bound(self._infer, self._device_ns)

    def _prepare(self, feeds: Arrays) -> None:
        """Values in the pinned buffers, shapes and addresses in the context."""
        del self._journal.errors[:]  # those of earlier inferences
        values = {
            name: self._fitting(name, array)
            for name, array in feeds.items()
            if name in self._tensors
        }
        shapes = {name: array.shape for name, array in values.items()}
        if shapes != self._shapes or not self._views:
            self._shapes = {}
            self._bind(shapes)
            self._shapes = shapes
        for name, array in values.items():
            np.copyto(self._views[name], array)

    def _fitting(self, name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        dtype = self._tensors[name].dtype
        if array.dtype == dtype:
            return array
        if dtype.kind == "i" and array.size:
            limits = np.iinfo(dtype)
            if array.min() < limits.min or array.max() > limits.max:
                raise Problem("%r holds values beyond %s, which the engine takes" % (name, dtype))
        return array.astype(dtype)

    def _bind(self, shapes: Dict[str, Tuple[int, ...]]) -> None:
        everything = dict(shapes, **self._generation.shaped(self._context, shapes))
        self._views = {}
        for name, shape in everything.items():
            dtype = self._tensors[name].dtype
            self._reserve(name, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        addresses = {name: self._buffers[name].pointer for name in everything}
        self._enqueue = self._generation.enqueuing(self._context, addresses, self._stream)
        for name, shape in everything.items():
            self._views[name] = self._buffers[name].view(shape, self._tensors[name].dtype)
        self._moving = [
            (name, self._buffers[name].pointer, self._views[name]) for name in everything
        ]
        self._going = [item for item in self._moving if self._tensors[item[0]].is_input]
        self._coming = [item for item in self._moving if not self._tensors[item[0]].is_input]

    def _reserve(self, name: str, size: int) -> None:
        held = self._buffers.get(name)
        if held is not None and held.size >= size:
            return
        if held is not None:
            del self._buffers[name]
            held.free()
        self._buffers[name] = Buffer(self._cuda, max(1, size))

    def _infer(self) -> None:
        try:
            self._queue_and_wait()
        except Problem as error:
            raise Broken(str(error)) from None

    def _queue_and_wait(self) -> None:
        cuda, stream = self._cuda, self._stream
        for _name, pointer, view in self._going:
            cuda.copy_in(pointer, view, stream)
        cuda.record(self._begin, stream)
        if not self._enqueue():
            raise Problem("TensorRT can't run the engine: %s" % self._journal.text())
        cuda.record(self._end, stream)
        for _name, pointer, view in self._coming:
            cuda.copy_out(view, pointer, stream)
        cuda.synchronize(stream)

    def _device_ns(self) -> int:
        return round(self._cuda.elapsed_ms(self._begin, self._end) * 1e6)

    def close(self) -> None:
        """Free everything, the context before its engine. What can't be freed because the
        device failed is left to the end of the process."""
        self._context = None
        self._engine = None
        self._runtime = None
        frees = [buffer.free for buffer in self._buffers.values()] + self._handles[::-1]
        self._buffers, self._handles, self._views = {}, [], {}
        self._enqueue = _never
        for free in frees:
            try:
                free()
            except Problem:
                continue


def _never() -> bool:
    return False


def _own(tensors: Iterable[Tensor]) -> Ports:
    """The engine's own, where nobody tells the user's."""
    sides: Dict[bool, List[Port]] = {True: [], False: []}
    for item in tensors:
        sides[item.is_input].append(Port(item.name, item.dtype, item.shape))
    return Ports(tuple(sides[True]), tuple(sides[False]))


def _port(tensor: Tensor, port: Port) -> Port:
    """The user's port with the engine's bounds. Raises Problem where they don't go together."""
    same = len(tensor.shape) == len(port.shape) and all(
        ours in (None, theirs) or theirs is None for ours, theirs in zip(tensor.shape, port.shape)
    )
    narrower = NARROWER.get(port.dtype.name)
    if not same or tensor.dtype.name not in (port.dtype.name, narrower):
        raise Problem(
            "%r is %s %s in the engine and %s %s in the manifest"
            % (port.name, tensor.dtype, list(tensor.shape), port.dtype, list(port.shape))
        )
    if None not in tensor.shape or not tensor.is_input:
        return Port(port.name, port.dtype, tensor.shape)
    return Port(port.name, port.dtype, tensor.shape, tensor.least, tensor.most)
