"""What the fake reads of an ONNX file: ports, layers, and the answers by onnxruntime."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.shape_inference
import onnxruntime

# TensorRT's DataType by ONNX's element type; 8.x narrows what it doesn't have.
TYPES = {
    1: "FLOAT",
    2: "UINT8",
    3: "INT8",
    6: "INT32",
    7: "INT64",
    9: "BOOL",
    10: "HALF",
    11: "FLOAT",
    16: "BF16",
}
NARROW = {"INT64": "INT32"}
NUMPY = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
# Operators that TensorRT's importers have no layer for (onnx-tensorrt's operators.md).
UNSUPPORTED = {
    "BitShift",
    "Compress",
    "ConvInteger",
    "Det",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "Optional",
    "QLinearConv",
    "QLinearMatMul",
    "StringNormalizer",
    "TfIdfVectorizer",
    "Unique",
}
# What the real parser makes several layers of, below operator set 13 and as TensorRT-RTX 1.7
# shows: how many, and how many more without the node's name, before them and behind.
SEVERAL = {"LogSoftmax": (2, 1, 1), "Softmax": (1, 1, 1), "HardSwish": (2, 0, 0)}
QUANTIZING = {"QuantizeLinear", "DequantizeLinear"}


class Port(NamedTuple):
    """An input or output; -1 in `shape` is a dynamic axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Node(NamedTuple):
    name: str
    operator: str
    domain: str
    outputs: tuple[Port, ...]
    inputs: tuple[Port, ...] = ()


class Graph:
    """One ONNX model in memory. Raises ValueError: it is none."""

    def __init__(self, data: bytes) -> None:
        try:
            self.model = onnx.load_model_from_string(data)
            onnx.checker.check_model(self.model)
        except Exception as error:  # noqa: BLE001 - onnx raises several kinds
            raise ValueError(str(error)) from None
        self.data = data
        graph = self.model.graph
        constants = {item.name for item in graph.initializer}
        self.inputs = [_port(item) for item in graph.input if item.name not in constants]
        self.outputs = [_port(item) for item in graph.output]
        kinds = _kinds(self.model)

        def ports(names: Any) -> tuple[Port, ...]:
            return tuple(Port(name, kinds.get(name, "FLOAT"), ()) for name in names if name)

        self.nodes = [
            Node(
                item.name or item.output[0],
                item.op_type,
                item.domain,
                ports(item.output),
                ports(item.input),
            )
            for item in graph.node
        ]

    @property
    def layers(self) -> list[Node]:
        """The nodes, each as often as it has layers, which are named as the parser does."""
        found: list[Node] = []
        for node in self.nodes:
            named, before, behind = SEVERAL.get(node.operator, (1, 0, 0))
            names = [node.name, *(f"{node.name}_{number}" for number in range(named - 1))]
            for name in [*[""] * before, *names, *[""] * behind]:
                found.append(node._replace(name=name or f"(Unnamed Layer* {len(found)}) [Shuffle]"))
        return found

    @property
    def unsupported(self) -> list[tuple[int, Node]]:
        return [
            (place, node)
            for place, node in enumerate(self.nodes)
            if node.operator in UNSUPPORTED or node.domain not in ("", "ai.onnx")
        ]

    @functools.cached_property
    def session(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(self.data, options, providers=["CPUExecutionProvider"])

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """Outputs by name; feeds and outputs have the dtypes of the ports."""
        wanted = {item.name: _numpy_type(item.type) for item in self.session.get_inputs()}
        cast = {name: array.astype(wanted[name]) for name, array in feeds.items()}
        names = [port.name for port in self.outputs]
        return dict(zip(names, self.session.run(names, cast), strict=True))

    def shapes(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Of the outputs, for inputs of these shapes."""
        feeds = {port.name: np.ones(shapes[port.name], NUMPY[port.dtype]) for port in self.inputs}
        return {name: array.shape for name, array in self.run(feeds).items()}


def _kinds(model: Any) -> dict[str, str]:
    """Types of the tensors, where onnx can tell."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    told = {item.name: item.type.tensor_type.elem_type for item in values}
    told |= {item.name: item.data_type for item in graph.initializer}
    return {name: TYPES[kind] for name, kind in told.items() if kind in TYPES}


def _port(item: Any) -> Port:
    kind = item.type.tensor_type
    if kind.elem_type not in TYPES:
        raise ValueError(f"Unsupported ONNX data type: {kind.elem_type} of {item.name}")
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in kind.shape.dim)
    return Port(item.name, TYPES[kind.elem_type], shape)


def _numpy_type(text: str) -> Any:
    name = {"float": "float32", "double": "float64"}.get(text[7:-1], text[7:-1])
    return np.dtype(name)
