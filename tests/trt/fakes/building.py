"""What the fake's builder half does: Logger, Builder, network, parser, configuration."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from trt.fakes import faults, plan
from trt.fakes.graph import NARROW, QUANTIZING, UNSUPPORTED, Graph, Port
from trt.fakes.values import Held, log, major, memory, new

PHASES = (("Building engine", None, 3), ("Timing graph nodes", "Building engine", 4))


class ILogger(Held):
    pass


class Logger(Held):
    def _begin(self, min_severity: Any = None) -> None:
        self._values["min_severity"] = min_severity or self._trt.ILogger.Severity.WARNING

    def log(self, severity: Any, msg: str) -> None:
        if severity.value <= self._values["min_severity"].value:
            sys.stderr.write(f"[TRT] [{severity.name[0]}] {msg}\n")


class IProgressMonitor(Held):
    pass


class Builder(Held):
    def _begin(self, logger: Any) -> None:
        self._logger = logger
        self._values.update(logger=logger, max_threads=1, num_DLA_cores=0, error_recorder=None)
        self._values.update(platform_has_fast_fp16=True, platform_has_fast_int8=True)
        self._values["platform_has_tf32"] = True

    def create_network(self, flags: Any = 0) -> Any:
        return new(self, "INetworkDefinition", self._logger, int(flags))

    def create_builder_config(self) -> Any:
        return new(self, "IBuilderConfig", self._logger)

    def create_optimization_profile(self) -> Any:
        return new(self, "IOptimizationProfile", self._logger)

    def reset(self) -> None:
        pass

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        """A plan in memory, or None and why in the log."""
        why = _objections(network, config) or _interrupted(self._logger, config)
        if why:
            log(self._logger, "ERROR", f"IBuilder::buildSerializedNetwork: {why}")
            return None
        if (timing := config._timing) is not None:
            timing._entries += len(network._graph.nodes)
        header = plan.Header(
            self._trt.__version__,
            faults.sm(),
            [dict(profile._shapes) for profile in config._profiles],
            sorted(flag.name for flag in config._flags),
            network._strongly_typed,
            [layer.name for layer in network._layers if layer._is_float32()],
            config._pools.get(self._trt.MemoryPoolType.WORKSPACE, 0),
            config._values["builder_optimization_level"],
        )
        return memory(self._trt, plan.write(header, network._graph.data))


def _objections(network: Any, config: Any) -> str:
    """Why TensorRT would not build this network with this configuration; "": it would."""
    graph = network._graph
    if graph is None or not graph.outputs:
        return "Error Code 4: API Usage Error (Network must have at least one output)"
    if forbidden := _forbidden_flags(network, config):
        return f"Error Code 3: API Usage Error ({forbidden})"
    dynamic = [port for port in graph.inputs if -1 in port.shape]
    if dynamic and not config._profiles:
        return (
            "Error Code 4: API Usage Error (Network has dynamic or shape inputs, but no "
            "optimization profile has been defined.)"
        )
    for profile in config._profiles:
        for port in dynamic:
            if wrong := _misfit(port, profile._shapes.get(port.name)):
                return f"Error Code 4: API Usage Error ({wrong})"
    return ""


def _forbidden_flags(network: Any, config: Any) -> str:
    flags = {flag.name for flag in config._flags}
    if network._strongly_typed and (found := flags & {"FP16", "INT8", "BF16", "FP8", "INT4"}):
        return f"builder flags {sorted(found)} can't be set for a strongly typed network"
    quantized = any(node.operator in QUANTIZING for node in network._graph.nodes)
    if quantized and not network._strongly_typed and "INT8" not in flags:
        return "the network has Q/DQ layers, and the INT8 flag is not set"
    return ""


def _misfit(port: Port, shapes: Any) -> str:
    if shapes is None:
        return f"dynamic input {port.name} has no shapes in the optimization profile"
    for shape in shapes:
        fits = len(shape) == len(port.shape) and all(
            axis in (-1, given) for axis, given in zip(port.shape, shape, strict=True)
        )
        if not fits:
            return f"profile shape {shape} of {port.name} does not fit {port.shape}"
    return ""


def _ordered(shapes: Any) -> bool:
    return all(a <= b <= c for a, b, c in zip(*shapes, strict=True))


def _interrupted(logger: Any, config: Any) -> str:
    """Progress is told; "" unless the monitor, or a fault, ends the build."""
    if faults.injected("killed while building"):
        faults.die(signal.SIGKILL)
    monitor = config._values.get("progress_monitor")
    begun: list[str] = []
    for name, parent, steps in PHASES:
        begun.append(name)
        if monitor is not None:
            monitor.phase_start(name, parent, steps)
            if not all(monitor.step_complete(name, step) for step in range(steps)):
                _finish(monitor, begun)
                return "Error Code 7: BuildCanceled (Build canceled by user)"
    if faults.injected("out of memory while building"):
        log(logger, "ERROR", "[defaultAllocator.cpp::allocate] Cuda Runtime (out of memory)")
        log(logger, "WARNING", "Requested amount of GPU memory could not be allocated.")
    _finish(monitor, begun)
    if faults.injected("out of memory while building"):
        return "Error Code 10: Could not find any implementation for node: out of memory"
    return ""


def _finish(monitor: Any, begun: list[str]) -> None:
    for name in reversed(begun):
        if monitor is not None:
            monitor.phase_finish(name)


class INetworkDefinition(Held):
    _graph: Graph | None = None

    def _begin(self, logger: Any, flags: int) -> None:
        self._logger = logger
        named = self._trt.NetworkDefinitionCreationFlag.__members__
        self._explicit = major(self._trt) >= 10 or bool(flags & (1 << int(named["EXPLICIT_BATCH"])))
        typed = named.get("STRONGLY_TYPED")
        self._strongly_typed = major(self._trt) >= 11 or bool(
            typed is not None and flags & (1 << int(typed))
        )
        self._values.update(name="Unnamed Network 0", error_recorder=None)
        self._values["has_implicit_batch_dimension"] = not self._explicit
        self._layers: list[Any] = []

    def _fill(self, graph: Graph) -> None:
        self._graph = graph
        self._layers = [
            new(self, "ILayer", node, number) for number, node in enumerate(graph.layers)
        ]
        self._inputs = [new(self, "ITensor", port, True) for port in graph.inputs]
        self._outputs = [new(self, "ITensor", port, False) for port in graph.outputs]

    num_layers = property(lambda self: len(self._layers))
    num_inputs = property(lambda self: len(self._inputs) if self._graph else 0)
    num_outputs = property(lambda self: len(self._outputs) if self._graph else 0)

    def get_layer(self, index: int) -> Any:
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def get_input(self, index: int) -> Any:
        return self._inputs[index] if 0 <= index < self.num_inputs else None

    def get_output(self, index: int) -> Any:
        return self._outputs[index] if 0 <= index < self.num_outputs else None

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, arg0: int) -> Any:
        return self._layers[arg0]


class ILayer(Held):
    def _begin(self, node: Any, number: int) -> None:
        self._values.update(name=node.name, metadata=f"[ONNX Layer: {node.name}]")
        self._values.update(precision=self._trt.DataType.FLOAT, precision_is_set=False)
        self._tensors = [new(self, "ITensor", port, False) for port in node.outputs]
        self._read = [new(self, "ITensor", port, False) for port in node.inputs]
        self._values.update(num_outputs=len(self._tensors), num_inputs=len(self._read))
        self._values["type"] = self._trt.LayerType.ELEMENTWISE
        self._output_types: dict[int, Any] = {}

    precision = property(
        lambda self: self._values["precision"], lambda self, value: self._set_precision(value)
    )

    def _set_precision(self, value: Any) -> None:
        self._values.update(precision=value, precision_is_set=True)

    def _is_float32(self) -> bool:
        kinds = self._trt.DataType
        return self._values["precision_is_set"] and self._values["precision"] == kinds.FLOAT

    def get_input(self, index: int) -> Any:
        return self._read[index] if 0 <= index < len(self._read) else None

    def get_output(self, index: int) -> Any:
        return self._tensors[index] if 0 <= index < len(self._tensors) else None

    def reset_precision(self) -> None:
        self._values["precision_is_set"] = False

    def set_output_type(self, index: int, dtype: Any) -> None:
        self._output_types[index] = dtype

    def get_output_type(self, index: int) -> Any:
        return self._output_types.get(index, self._trt.DataType.FLOAT)

    def output_type_is_set(self, index: int) -> bool:
        return index in self._output_types


class ITensor(Held):
    def _begin(self, port: Port, is_input: bool) -> None:
        self._values.update(name=port.name, shape=new(self, "Dims", port.shape))
        name = NARROW.get(port.dtype, port.dtype) if major(self._trt) < 10 else port.dtype
        self._values["dtype"] = getattr(self._trt.DataType, name)
        self._values.update(is_network_input=is_input, is_network_output=not is_input)
        self._values["is_shape_tensor"] = False


class ParserError(Held):
    def _begin(self, code: str, text: str, place: int = -1, node: Any = None) -> None:
        self._code, self._text, self._place, self._node = code, text, place, node

    def code(self) -> Any:
        return getattr(self._trt.ErrorCode, self._code)

    def desc(self) -> str:
        return self._text

    def node(self) -> int:
        return self._place

    def node_name(self) -> str:
        return self._node.name if self._node else ""

    def node_operator(self) -> str:
        return self._node.operator if self._node else ""

    def file(self) -> str:
        return "fake"

    def func(self) -> str:
        return "parse"

    def line(self) -> int:
        return 0


class OnnxParser(Held):
    def _begin(self, network: Any, logger: Any) -> None:
        self._network, self._logger = network, logger
        self._errors: list[Any] = []
        self._values["flags"] = 0

    num_errors = property(lambda self: len(self._errors))

    def parse(self, model: Any, path: str | None = None) -> bool:
        if not self._network._explicit:
            return self._refuse("INVALID_VALUE", "the network must be of explicit batch")
        try:
            graph = Graph(bytes(model))
        except ValueError as error:
            return self._refuse(
                "MODEL_DESERIALIZE_FAILED", f"Failed to parse the ONNX model. {error}"
            )
        for place, node in graph.unsupported:
            text = f"No importer registered for op: {node.operator}"
            self._refuse("UNSUPPORTED_NODE", text, place, node)
        if not self._errors:
            self._network._fill(graph)
        return not self._errors

    def parse_from_file(self, model: str) -> bool:
        if not Path(model).is_file():
            return self._refuse("MODEL_DESERIALIZE_FAILED", f"Failed to open file: {model}")
        return type(self).parse(self, Path(model).read_bytes())

    def _refuse(self, code: str, text: str, place: int = -1, node: Any = None) -> bool:
        self._errors.append(new(self, "ParserError", code, text, place, node))
        log(self._logger, "ERROR", f"ModelImporter.cpp: While parsing node number {place}: {text}")
        return False

    def get_error(self, index: int) -> Any:
        return self._errors[index] if 0 <= index < len(self._errors) else None

    def clear_errors(self) -> None:
        self._errors.clear()

    def supports_operator(self, op_name: str) -> bool:
        return op_name not in UNSUPPORTED

    def set_flag(self, flag: Any) -> None:
        self._values["flags"] |= 1 << int(flag)

    def clear_flag(self, flag: Any) -> None:
        self._values["flags"] &= ~(1 << int(flag))

    def get_flag(self, flag: Any) -> bool:
        return bool(self._values["flags"] & (1 << int(flag)))


class IBuilderConfig(Held):
    _timing: Any = None

    def _begin(self, logger: Any) -> None:
        self._logger = logger
        self._flags: set[Any] = {self._trt.BuilderFlag.TF32}
        self._profiles: list[Any] = []
        self._pools: dict[Any, int] = {}
        self._values.update(
            builder_optimization_level=3, avg_timing_iterations=1, max_aux_streams=0
        )
        self._values.update(progress_monitor=None, max_workspace_size=0, DLA_core=-1)
        self._values["profile_stream"] = 0

    num_optimization_profiles = property(lambda self: len(self._profiles))
    flags = property(
        lambda self: sum(1 << int(flag) for flag in self._flags),
        lambda self, value: self._set_flags(value),
    )

    def _set_flags(self, value: int) -> None:
        members = self._trt.BuilderFlag.__members__.values()
        self._flags = {flag for flag in members if value & (1 << int(flag))}

    def set_flag(self, flag: Any) -> None:
        self._flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(flag)

    def get_flag(self, flag: Any) -> bool:
        return flag in self._flags

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._pools[pool] = int(pool_size)

    def get_memory_pool_limit(self, pool: Any) -> int:
        return self._pools.get(pool, 0)

    def add_optimization_profile(self, profile: Any) -> int:
        disordered = [name for name, shapes in profile._shapes.items() if not _ordered(shapes)]
        if disordered:
            log(self._logger, "ERROR", f"profile of {disordered} breaks min <= opt <= max")
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        return new(self, "ITimingCache", self._logger, bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self._timing = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._timing


class ITimingCache(Held):
    """Foreign bytes are an empty cache and a warning, as TensorRT has it."""

    def _begin(self, logger: Any, data: bytes) -> None:
        start = f"FAKETIMING {self._trt.__version__} ".encode()
        self._start, self._entries = start, 0
        if data.startswith(start):
            self._entries = int(data[len(start) :])
        elif data:
            log(logger, "WARNING", "Failed to deserialize timing cache. Returning an empty one.")

    def serialize(self) -> Any:
        return memory(self._trt, self._start + str(self._entries).encode())

    def reset(self) -> bool:
        self._entries = 0
        return True

    def combine(self, input_cache: Any, ignore_mismatch: bool) -> bool:
        self._entries += input_cache._entries
        return True


class IOptimizationProfile(Held):
    def _begin(self, logger: Any) -> None:
        self._logger = logger
        self._shapes: dict[str, list[list[int]]] = {}
        self._values["extra_memory_target"] = 1.0

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self._shapes[input] = [list(shape) for shape in (min, opt, max)]

    def get_shape(self, input: str) -> list[Any]:
        return [new(self, "Dims", shape) for shape in self._shapes.get(input, [])]
