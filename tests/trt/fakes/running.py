"""What the fake's runtime half does: Runtime, engine, execution context."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from trt.fakes import cudart, faults, plan
from trt.fakes.graph import NARROW, NUMPY, Graph, Port
from trt.fakes.values import Held, log, major, memory, new


class Runtime(Held):
    def _begin(self, logger: Any) -> None:
        self._logger = logger
        self._values.update(logger=logger, DLA_core=-1, num_DLA_cores=0, max_threads=1)
        self._values.update(error_recorder=None, engine_host_code_allowed=False)

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        """An engine; None, and why in the log, for a plan of another device or version."""
        if faults.injected("crash while deserialising"):
            faults.die()
        try:
            header, model = plan.read(bytes(serialized_engine))
        except plan.Foreign as error:
            return self._refuse(f"Error Code 1: Serialization ({error})")
        if header.tensorrt != self._trt.__version__:
            return self._refuse(
                "The engine plan file is not compatible with this version of TensorRT, "
                f"expecting library version {self._trt.__version__} got {header.tensorrt}, "
                "please rebuild."
            )
        if header.sm != faults.sm():
            return self._refuse(
                "The engine plan file is generated on an incompatible device, expecting compute "
                f"{_dotted(faults.sm())} got compute {_dotted(header.sm)}, please rebuild."
            )
        return new(self, "ICudaEngine", self._logger, header, model, bytes(serialized_engine))

    def _refuse(self, text: str) -> None:
        log(self._logger, "ERROR", f"IRuntime::deserializeCudaEngine: {text}")


def _dotted(sm: int) -> str:
    return f"{sm // 10}.{sm % 10}"


class ICudaEngine(Held):
    def _begin(self, logger: Any, header: plan.Header, model: bytes, data: bytes) -> None:
        self._logger, self._header, self._data = logger, header, data
        self._graph = Graph(model)
        self._ports = [*self._graph.inputs, *self._graph.outputs]
        self._by_name = {port.name: port for port in self._ports}
        size = len(model)
        self._values.update(device_memory_size=size, device_memory_size_v2=size, name="")
        self._values.update(num_layers=len(self._graph.nodes), refittable=False, max_batch_size=1)
        self._values.update(has_implicit_batch_dimension=False, num_aux_streams=0)
        self._values["error_recorder"] = None

    num_io_tensors = property(lambda self: len(self._ports))
    num_bindings = num_io_tensors
    num_optimization_profiles = property(lambda self: max(1, len(self._header.profiles)))

    def _is_input(self, port: Port) -> bool:
        return port in self._graph.inputs

    def _dtype(self, port: Port) -> Any:
        return getattr(self._trt.DataType, _narrowed(self._trt, port))

    def _profile_shape(self, index: int, port: Port) -> list[Any]:
        shapes = self._header.profiles[index].get(port.name) if self._header.profiles else None
        return [new(self, "Dims", shape) for shape in shapes or [port.shape] * 3]

    def _port(self, key: Any) -> Any:
        """By name or number; None, and that in the log, where there is no such one."""
        if isinstance(key, str):
            found = self._by_name.get(key)
        else:
            found = self._ports[key] if 0 <= key < len(self._ports) else None
        if found is None:
            log(self._logger, "ERROR", f"Error Code 3: API Usage Error (no tensor {key!r})")
        return found

    def get_tensor_name(self, index: int) -> Any:
        port = self._port(int(index))
        return port and port.name

    def get_tensor_mode(self, name: str) -> Any:
        port = self._port(name)
        modes = self._trt.TensorIOMode
        return modes.NONE if port is None else modes.INPUT if self._is_input(port) else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        port = self._port(name)
        return self._dtype(port) if port else self._trt.DataType.FLOAT

    def get_tensor_shape(self, name: str) -> Any:
        port = self._port(name)
        return new(self, "Dims", port.shape if port else ())

    def get_tensor_location(self, name: str) -> Any:
        return self._trt.TensorLocation.DEVICE

    def get_location(self, index: Any = None, name: Any = None) -> Any:
        return self._trt.TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Any:
        return self._profile_shape(profile_index, self._port(name))

    def is_shape_inference_io(self, name: str) -> bool:
        return False

    def get_binding_name(self, index: int) -> Any:
        return ICudaEngine.get_tensor_name(self, index)

    def get_binding_index(self, name: str) -> int:
        return self._ports.index(self._by_name[name]) if name in self._by_name else -1

    def binding_is_input(self, index: Any = None, name: Any = None) -> bool:
        return self._is_input(self._port(index if name is None else name))

    def get_binding_dtype(self, index: Any = None, name: Any = None) -> Any:
        return self._dtype(self._port(index if name is None else name))

    def get_binding_shape(self, index: Any = None, name: Any = None) -> Any:
        return new(self, "Dims", self._port(index if name is None else name).shape)

    def get_profile_shape(self, profile_index: int, binding: Any) -> Any:
        return self._profile_shape(profile_index, self._port(binding))

    def is_shape_binding(self, binding: int) -> bool:
        return False

    def is_execution_binding(self, binding: int) -> bool:
        return True

    def __len__(self) -> int:
        return len(self._ports)

    def __getitem__(self, arg0: Any) -> Any:
        if isinstance(arg0, str):
            return ICudaEngine.get_binding_index(self, arg0)
        if not 0 <= arg0 < len(self._ports):
            raise IndexError(arg0)
        return self._ports[arg0].name

    def serialize(self) -> Any:
        return memory(self._trt, self._data)

    def create_execution_context(self, **_: Any) -> Any:
        if faults.injected("no execution context"):
            log(self._logger, "ERROR", "[executionContext.cpp] Cuda Runtime (out of memory)")
            return None
        return new(self, "IExecutionContext", self)


def _narrowed(trt: Any, port: Port) -> str:
    return NARROW.get(port.dtype, port.dtype) if major(trt) < 10 else port.dtype


class IExecutionContext(Held):
    def _begin(self, engine: Any) -> None:
        self._engine, self._logger = engine, engine._logger
        self._profile = 0
        self._shapes = {
            port.name: port.shape for port in engine._graph.inputs if -1 not in port.shape
        }
        self._addresses: dict[str, int] = {}
        self._known: dict[Any, dict[str, tuple[int, ...]]] = {}
        self._values.update(engine=engine, name="", profiler=None, error_recorder=None)

    active_optimization_profile = property(
        lambda self: self._profile, lambda self, value: self._choose(value)
    )
    all_binding_shapes_specified = property(lambda self: not self._missing())

    def _choose(self, index: int) -> bool:
        if not 0 <= index < self._engine.num_optimization_profiles:
            return self._refuse(f"there is no optimization profile {index}")
        if index != self._profile:
            self._shapes = {
                port.name: port.shape for port in self._engine._graph.inputs if -1 not in port.shape
            }
        self._profile = index
        return True

    def _refuse(self, text: str) -> bool:
        log(self._logger, "ERROR", f"IExecutionContext: Error Code 3: API Usage Error ({text})")
        return False

    def _missing(self) -> list[str]:
        return [p.name for p in self._engine._graph.inputs if p.name not in self._shapes]

    def _set_shape(self, port: Any, shape: Any) -> bool:
        if port is None or not self._engine._is_input(port):
            return self._refuse(f"no input {port}")
        low, _, high = (tuple(item) for item in self._engine._profile_shape(self._profile, port))
        axes = tuple(int(axis) for axis in shape)
        if len(axes) != len(low):
            return self._refuse(f"{port.name} has {len(low)} axes, not {len(axes)}")
        if not all(a <= b <= c for a, b, c in zip(low, axes, high, strict=True)):
            return self._refuse(
                f"Set dimension {axes} for tensor {port.name} does not satisfy any optimization "
                f"profiles. Valid range: {low} to {high}."
            )
        self._shapes[port.name] = axes
        return True

    def _shape(self, port: Port) -> tuple[int, ...]:
        """As it will be: of an output, once all inputs are known."""
        if self._engine._is_input(port) or self._missing():
            return self._shapes.get(port.name, port.shape)
        key = tuple(sorted(self._shapes.items()))
        if key not in self._known:
            self._known[key] = self._engine._graph.shapes(self._shapes)
        return self._known[key][port.name]

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        return self._choose(profile_index)

    def set_input_shape(self, name: str, shape: Any) -> bool:
        return self._set_shape(self._engine._port(name), shape)

    def set_binding_shape(self, binding: int, shape: Any) -> bool:
        return self._set_shape(self._engine._port(binding), shape)

    def get_tensor_shape(self, name: str) -> Any:
        return new(self, "Dims", self._shape(self._engine._port(name)))

    def get_binding_shape(self, binding: int) -> Any:
        return new(self, "Dims", self._shape(self._engine._port(binding)))

    def infer_shapes(self) -> list[str]:
        return self._missing()

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if self._engine._port(name) is None:
            return False
        self._addresses[name] = int(memory)
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def execute_async_v3(self, stream_handle: int) -> bool:
        return self._execute(dict(self._addresses), int(stream_handle))

    def execute_async_v2(
        self, bindings: Any, stream_handle: int, input_consumed: Any = None
    ) -> bool:
        return self._execute(self._placed(bindings), int(stream_handle))

    def execute_v2(self, bindings: Any) -> bool:
        return self._execute(self._placed(bindings), 0) and cudart.loaded().finish()

    def _placed(self, bindings: Any) -> dict[str, int]:
        ports = self._engine._ports
        return {port.name: int(item) for port, item in zip(ports, bindings, strict=False)}

    def _execute(self, addresses: dict[str, int], stream: int) -> bool:
        """Queued on the stream; False, and why in the log, where TensorRT would refuse."""
        if faults.injected("crash while executing"):
            faults.die()
        if faults.injected("execution fails"):
            return self._refuse("injected: enqueue failed")
        if missing := self._missing():
            return self._refuse(f"input shapes of {missing} were not set")
        sizes = {
            port.name: _size(self._engine, port, self._shape(port)) for port in self._engine._ports
        }
        for name, size in sizes.items():
            if name not in addresses:
                return self._refuse(f"Address is not set for tensor {name}.")
            if not cudart.loaded().holds(addresses[name], size):
                return self._refuse(f"{size} bytes of tensor {name} are not in device memory")
        shapes = dict(self._shapes)
        queued = cudart.loaded().enqueue(stream, lambda: _compute(self._engine, shapes, addresses))
        return queued or self._refuse(f"there is no stream {stream}")


def _size(engine: Any, port: Port, shape: tuple[int, ...]) -> int:
    kind = np.dtype(NUMPY[_narrowed(engine._trt, port)])
    return int(np.prod(shape, dtype=np.int64)) * kind.itemsize


def _compute(engine: Any, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
    feeds = {}
    for port in engine._graph.inputs:
        size = _size(engine, port, shapes[port.name])
        data = ctypes.string_at(addresses[port.name], size)
        kind = NUMPY[_narrowed(engine._trt, port)]
        feeds[port.name] = np.frombuffer(data, kind).reshape(shapes[port.name])
    wrong = faults.injected("wrong answers")
    answers = engine._graph.run(feeds)
    for port in engine._graph.outputs:
        array = np.asarray(answers[port.name]).astype(NUMPY[_narrowed(engine._trt, port)])
        if wrong and array.dtype.kind == "f":
            array = array + array.dtype.type(1)
        ctypes.memmove(addresses[port.name], array.tobytes(), array.nbytes)
