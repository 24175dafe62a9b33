"""TensorRT 8.4 to 8.6: bindings by index, and types that the builder chooses."""

from __future__ import annotations

import re
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from yardarm_runtime import onnx_nodes
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt.generation import (
    Progress,
    Shape,
    Tensor,
    dtype_of,
    known,
    shape_of,
)
from yardarm_runtime.tensorrt.options import Options

NAMELESS = ("(Unnamed Layer", "ONNXTRT_")
_NUMBERED = re.compile(r"_\d+$")


class Eight:
    strongly_typed = False
    tells_phases = False
    keeps_timings = True

    def __init__(self, trt: Any, version: Tuple[int, ...]) -> None:
        self._trt = trt
        self._version = version

    def network(self, builder: Any) -> Any:
        trt = self._trt
        return builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))

    def configure(self, config: Any, network: Any, options: Options) -> List[str]:
        trt = self._trt
        if "fp16" in options.flags:
            config.set_flag(trt.BuilderFlag.FP16)
        if "int8" in options.flags:
            config.set_flag(trt.BuilderFlag.INT8)
        config.clear_flag(trt.BuilderFlag.TF32)  # float32 means float32
        if self._version >= (8, 6):
            config.builder_optimization_level = options.optimization_level
        if not options.float32:
            return []
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
        missed = sorted(options.float32 - self._keep(network, options))
        return ["no layer is called %r, which should stay float32" % name for name in missed]

    def _keep(self, network: Any, options: Options) -> Set[str]:
        """The nodes whose layers now stay float32."""
        trt = self._trt
        layers = [network.get_layer(index) for index in range(network.num_layers)]
        own = [layer for layer in layers if layer.type != trt.LayerType.CONSTANT]
        owners = [_owner(layer.name, options.float32) for layer in own]
        before, after = _nearest(owners), _nearest(owners[::-1])[::-1]
        for layer, owner, left, right in zip(own, owners, before, after):
            if owner or (owner is None and (left or right)):
                self._pin(layer)
        return {owner for owner in owners if owner}

    def _pin(self, layer: Any) -> None:
        """What it computes in, and its outputs: rounded to float16 they would overflow all the
        same. Shapes and indices stay what they are."""
        trt = self._trt
        outputs = [layer.get_output(place) for place in range(layer.num_outputs)]
        inputs = [layer.get_input(place) for place in range(layer.num_inputs)]
        if any(self._is_float(tensor) for tensor in inputs + outputs):
            layer.precision = trt.DataType.FLOAT
        for place, tensor in enumerate(outputs):
            if self._is_float(tensor):
                layer.set_output_type(place, trt.DataType.FLOAT)

    def _is_float(self, tensor: Any) -> bool:
        trt = self._trt
        return (
            tensor is not None
            and tensor.dtype == trt.DataType.FLOAT
            and not bool(tensor.is_shape_tensor)
        )

    def watch(self, config: Any, progress: Progress) -> Any:
        return None

    def parse_error(self, problem_: Any, model: bytes) -> str:
        """This parser knows the node by its index only."""
        place = problem_.node()
        nodes = onnx_nodes.of(model)
        if 0 <= place < len(nodes):
            return "node %r (%s): %s" % (nodes[place].name, nodes[place].op, problem_.desc())
        return str(problem_.desc())

    def target(self, config: Any, sm: Optional[int]) -> None:
        if sm is not None:
            raise Problem("TensorRT 8 builds only for the GPU that is there")

    def tensors(self, engine: Any) -> List[Tensor]:
        return [self._tensor(engine, index) for index in range(engine.num_bindings)]

    def _tensor(self, engine: Any, index: int) -> Tensor:
        name = engine.get_binding_name(index)
        if engine.is_shape_binding(index):
            raise Problem("%r is a tensor of shapes, which is not supported" % name)
        dtype = dtype_of(name, engine.get_binding_dtype(index))
        shape = shape_of(engine.get_binding_shape(index))
        if not engine.binding_is_input(index):
            return Tensor(name, False, dtype, shape)
        least, _best, most = engine.get_profile_shape(0, index)
        return Tensor(name, True, dtype, shape, tuple(least), tuple(most))

    def shaped(self, context: Any, shapes: Mapping[str, Shape]) -> Dict[str, Shape]:
        engine = context.engine
        for name, shape in shapes.items():
            place = engine.get_binding_index(name)
            dynamic = -1 in tuple(engine.get_binding_shape(place))
            if dynamic and not context.set_binding_shape(place, shape):
                raise Problem("TensorRT refuses shape %s for %r" % (list(shape), name))
        outputs = [
            index for index in range(engine.num_bindings) if not engine.binding_is_input(index)
        ]
        named = {engine.get_binding_name(index): index for index in outputs}
        return {name: known(name, context.get_binding_shape(named[name])) for name in named}

    def enqueuing(
        self, context: Any, addresses: Mapping[str, int], stream: int
    ) -> Callable[[], bool]:
        engine = context.engine
        names = [engine.get_binding_name(index) for index in range(engine.num_bindings)]
        bindings = [addresses[name] for name in names]

        def enqueue() -> bool:
            return bool(context.execute_async_v2(bindings, stream))

        return enqueue


def _owner(name: str, float32: FrozenSet[str]) -> Optional[str]:
    """Which node of `float32` a layer belongs to: "" none, None where its name doesn't tell.

    The parser makes several layers of a node: "n", "n_0", "n_1", and some without the name.
    """
    if name.startswith(NAMELESS):
        return None
    found = [each for each in (name, _NUMBERED.sub("", name)) if each in float32]
    return found[0] if found else ""


def _nearest(owners: Sequence[Optional[str]]) -> List[str]:
    """For each layer the last owner that could be told, up to it."""
    found, last = [], ""
    for owner in owners:
        last = last if owner is None else owner
        found.append(last)
    return found
