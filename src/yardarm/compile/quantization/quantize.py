"""A normalised model written in the forms of a plan, for what runs it on the device."""

from __future__ import annotations

from onnx import ModelProto

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.quantization import onnxruntime_graph, tensorrt_graph
from yardarm.compile.quantization.placement import Placement
from yardarm.compile.quantization.plan import Plan


def quantize(model: ModelProto, plan: Plan) -> ModelProto:
    """What onnxruntime on this machine runs as the device does; inputs and outputs keep their
    names. Where onnxruntime is on the device, too, it is the file itself."""
    if plan.tensorrt:
        return tensorrt_graph.rounded(model, plan)
    return onnxruntime_graph.write(model, plan)


def shipped(model: ModelProto, plan: Plan) -> ModelProto:
    """What goes to the device."""
    return tensorrt_graph.typed(model, plan) if plan.tensorrt else quantize(model, plan)


def represented(model: ModelProto, plan: Plan) -> dict[str, Range]:
    """The ranges of the tensors that exist in int8, by name."""
    pairs = placed(model, plan).pairs
    return {name: plan.ranges[source] for name, source in pairs.items()}


def placed(model: ModelProto, plan: Plan) -> Placement:
    """Where the graph changes between float and int8."""
    if plan.tensorrt:
        return tensorrt_graph.placed(model, plan)
    return onnxruntime_graph.placed(model, plan)
