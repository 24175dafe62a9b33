"""TensorRT 10: tensors by name, and networks whose types are the file's own."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional

from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt.generation import (
    Progress,
    Shape,
    Tensor,
    dtype_of,
    known,
    shape_of,
)
from yardarm_runtime.tensorrt.monitor import monitor_for
from yardarm_runtime.tensorrt.options import Options


class Ten:
    strongly_typed = True
    tells_phases = True
    keeps_timings = True

    def __init__(self, trt: Any) -> None:
        self._trt = trt

    def network(self, builder: Any) -> Any:
        trt = self._trt
        return builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))

    def configure(self, config: Any, network: Any, options: Options) -> List[str]:
        trt = self._trt
        config.clear_flag(trt.BuilderFlag.TF32)  # float32 means float32
        config.builder_optimization_level = options.optimization_level
        return []

    def watch(self, config: Any, progress: Progress) -> Any:
        monitor = monitor_for(self._trt, progress)
        config.progress_monitor = monitor
        return monitor

    def parse_error(self, problem_: Any, model: bytes) -> str:
        name, operator = problem_.node_name(), problem_.node_operator()
        text = str(problem_.desc())
        return "node %r (%s): %s" % (name, operator, text) if name or operator else text

    def target(self, config: Any, sm: Optional[int]) -> None:
        if sm is not None:
            raise Problem("this TensorRT builds only for the GPU that is there")

    def tensors(self, engine: Any) -> List[Tensor]:
        return [self._tensor(engine, index) for index in range(engine.num_io_tensors)]

    def _tensor(self, engine: Any, index: int) -> Tensor:
        trt = self._trt
        name = engine.get_tensor_name(index)
        if engine.get_tensor_location(name) == trt.TensorLocation.HOST:
            raise Problem("%r is a tensor of shapes, which is not supported" % name)
        dtype = dtype_of(name, engine.get_tensor_dtype(name))
        shape = shape_of(engine.get_tensor_shape(name))
        if engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT:
            return Tensor(name, False, dtype, shape)
        least, _best, most = engine.get_tensor_profile_shape(name, 0)
        return Tensor(name, True, dtype, shape, tuple(least), tuple(most))

    def shaped(self, context: Any, shapes: Mapping[str, Shape]) -> Dict[str, Shape]:
        trt, engine = self._trt, context.engine
        for name, shape in shapes.items():
            dynamic = -1 in tuple(engine.get_tensor_shape(name))
            if dynamic and not context.set_input_shape(name, shape):
                raise Problem("TensorRT refuses shape %s for %r" % (list(shape), name))
        missing = context.infer_shapes()
        if missing:
            raise Problem("TensorRT lacks the shapes of %s" % ", ".join(missing))
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        outputs = [
            name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
        ]
        return {name: known(name, context.get_tensor_shape(name)) for name in outputs}

    def enqueuing(
        self, context: Any, addresses: Mapping[str, int], stream: int
    ) -> Callable[[], bool]:
        for name, address in addresses.items():
            if not context.set_tensor_address(name, address):
                raise Problem("TensorRT refuses the address of %r" % name)

        def enqueue() -> bool:
            return bool(context.execute_async_v3(stream))

        return enqueue
