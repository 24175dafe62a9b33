"""Small graphs written in chosen forms, and what onnxruntime makes of them.

`from int8_graphs import written, plan, ranges, answers, error, kernels`.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper, numpy_helper

from yardarm.artifacts import Layout
from yardarm.compile.calibration.ranges import Range
from yardarm.compile.normalising import graphs
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.quantization.quantize import quantize
from yardarm.compile.session import Engine, settings
from yardarm.profiles import Quantization

AS_IT_IS = Layout(batch=0)
Feed = Mapping[str, np.ndarray]
FORMS = {form.value: form for form in Form}


def everything(model: ModelProto, feed: Feed) -> dict[str, np.ndarray]:
    """Every tensor that the graph computes, and what it is fed."""
    shown = graphs.copied(model)
    own = {value.name for value in model.graph.output}
    made = [name for node in model.graph.node for name in node.output if name and name not in own]
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in made)
    return {**Engine(shown, layout=AS_IT_IS).once(feed), **feed}


def ranges(model: ModelProto, feed: Feed) -> dict[str, Range]:
    """Lowest and highest value of every float32 tensor."""
    seen = everything(model, feed)
    kinds = {name: values for name, values in seen.items() if values.dtype == np.float32}
    return {name: (float(values.min()), float(values.max())) for name, values in kinds.items()}


def plan(model: ModelProto, forms: Mapping[str, str], feed: Feed, **choice: object) -> Plan:
    chosen = {name: FORMS[form] for name, form in forms.items()}
    return Plan(Quantization(**choice), chosen, ranges(model, feed))  # type: ignore[arg-type]


def written(
    model: ModelProto, forms: Mapping[str, str], feed: Feed, **choice: object
) -> ModelProto:
    """The model with nodes, by name, in the forms that are told; the others stay in fp32."""
    return quantize(model, plan(model, forms, feed, **choice))


def answers(model: ModelProto, feed: Feed, *, literally: bool = False) -> dict[str, np.ndarray]:
    """`literally`: node by node as they are written; else as onnxruntime fuses them."""
    options = settings()
    if literally:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return Engine(model, options, layout=AS_IT_IS).once(feed)


def error(expected: Feed, found: Feed) -> float:
    """The largest mean squared error of an output, relative to its mean square."""
    assert [*expected] == [*found]
    pairs = [(expected[name].astype(np.float64), found[name]) for name in expected]
    return max(float(np.mean((one - other) ** 2) / np.mean(one**2)) for one, other in pairs)


def kernels(model: ModelProto) -> Counter[str]:
    """The operators that onnxruntime runs, with int8 as on ARM."""
    with tempfile.TemporaryDirectory() as folder:
        options = settings()
        options.optimized_model_filepath = str(Path(folder) / "model.onnx")
        Engine(model, options, layout=AS_IT_IS)
        found = onnx.load(options.optimized_model_filepath)
    return Counter(node.op_type for node in found.graph.node)


def constants(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
