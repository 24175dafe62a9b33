"""Real models in every type, parsed and built by our builder with TensorRT-RTX on this CPU.

It shows what a newer relative of the device's TensorRT accepts; nothing is run by it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorrt_rtx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from int8_graphs import ranges
from yardarm.artifacts import Layout
from yardarm.compile.building import part_axes
from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.quantization import halves
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.grids import GRIDS
from yardarm.compile.quantization.names import shorten
from yardarm.compile.quantization.plan import Plan, TensorRt
from yardarm.compile.quantization.quantize import shipped
from yardarm.compile.readiness.asking import Question, ask
from yardarm.compile.searching.subject import ladders
from yardarm.profiles import Quantization
from yardarm.project import Project
from yardarm_runtime.tensorrt.builder import build
from yardarm_runtime.tensorrt.options import Options, Profile

BATCH = 4
EXACT = [Form.FP32, Form.FP16, Form.STATIC, Form.FP8]
AMPERE, BLACKWELL = 86, 120  # the oldest that TensorRT-RTX has float8 for is 89
Feed = dict[str, np.ndarray]
Made = tuple[ModelProto, Feed]


@pytest.fixture(scope="module")
def benches(repository: Path) -> Iterator[None]:
    sys.path.insert(0, str(repository / "bench"))
    yield
    sys.path.remove(str(repository / "bench"))


@pytest.fixture(scope="module")
def models(benches: None, text_angle: Path, zoo: Callable[[str], Project]) -> Callable[[str], Made]:
    """Each as the compiler works on it, with a few samples."""
    random = np.random.default_rng(0)

    def pictures(*shape: int) -> np.ndarray:
        return random.normal(0, 1, (BATCH, *shape)).astype(np.float32)

    def made(name: str) -> Made:
        match name:
            case "text-angle":
                model = onnx.load(text_angle / "model.onnx")
                feed = {"x": np.load(text_angle / "data" / "calibration.npz")["x"][:BATCH]}
            case "mnist":
                from real_models import mnist

                feed = {"x": pictures(1, 28, 28)}
                model = mnist.model(feed["x"][:3])
            case "faces":
                from real_models import faces

                model = faces.network()
                feed = {model.graph.input[0].name: pictures(24, 24, 3)}
            case _:
                project = zoo(name)
                model = onnx.load(project.path(project.model.source))
                with np.load(project.root / "calibration.npz") as archive:
                    feed = {key: archive[key][:BATCH] for key in archive.files}
        return normalise(model, 19, 20, feed, Layout(BATCH)), feed

    known: dict[str, Made] = {}

    def once(name: str) -> Made:
        if name not in known:
            known[name] = made(name)
        return known[name]

    return once


def written(made: Made, form: Form, version: tuple[int, int]) -> ModelProto:
    """Every node in a form where it has it, else in the next more exact one."""
    low = (form,) if form in GRIDS else ()
    model, feed = made
    seen = ranges(model, feed)
    opset = model.opset_import[0].version
    target = TensorRt(version, halves.fit(model, seen, opset), opset, low)
    forms = {
        name: next(each for each in offered if EXACT.index(each) <= EXACT.index(form))
        for name, offered in ladders(model, set(seen), target).items()
    }
    choice = Quantization(symmetric_activations=True)
    short, _ = shorten(shipped(model, Plan(choice, forms, seen, tensorrt=target)))
    return short


ONE = {
    "Abs": {}, "Acos": {}, "Asin": {}, "Asinh": {}, "Atan": {},
    "AveragePool": {"kernel_shape": [2, 2]},
    "Celu": {}, "Clip": {}, "Cos": {}, "Cosh": {}, "CumSum": {}, "DepthToSpace": {"blocksize": 2},
    "Elu": {}, "Erf": {}, "Exp": {}, "Flatten": {}, "Gelu": {}, "GlobalAveragePool": {},
    "GlobalMaxPool": {}, "HardSigmoid": {}, "HardSwish": {}, "Identity": {}, "LRN": {"size": 3},
    "LeakyRelu": {}, "Log": {}, "LogSoftmax": {}, "LpNormalization": {},
    "MaxPool": {"kernel_shape": [2, 2]}, "MeanVarianceNormalization": {}, "Mish": {}, "Neg": {},
    "Reciprocal": {}, "ReduceL1": {}, "ReduceL2": {}, "ReduceLogSum": {}, "ReduceLogSumExp": {},
    "ReduceMax": {}, "ReduceMean": {}, "ReduceMin": {}, "ReduceProd": {}, "ReduceSum": {},
    "ReduceSumSquare": {}, "Relu": {}, "Round": {}, "Selu": {}, "Sigmoid": {}, "Sign": {},
    "Sin": {},
    "Sinh": {}, "Softmax": {}, "Softplus": {}, "Softsign": {}, "SpaceToDepth": {"blocksize": 2},
    "Sqrt": {}, "Tan": {}, "Tanh": {}, "ThresholdedRelu": {}, "Transpose": {},
}  # fmt: skip
TWO = ("Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum")


def small(op: str, inputs: list[str], **how: object) -> ModelProto:
    """One operator on [1, 4, 8, 8], beside constants of that shape; of axes for CumSum."""
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4, 8, 8]) for n in ("x", "y")]
    ports[1].type.tensor_type.ClearField("shape")
    held = {"c": np.full((1, 4, 8, 8), 1.5, np.float32), "axis": np.array(1, np.int64)}
    node = helper.make_node(op, inputs, ["y"], "n", **how)
    constants = [numpy_helper.from_array(held[name], name) for name in inputs if name in held]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_every_operator_that_is_made_float16_is_parsed_so() -> None:
    ones = [small(op, ["x", "axis"] if op == "CumSum" else ["x"], **how) for op, how in ONE.items()]
    models = [*ones, *(small(op, ["x", "c"]) for op in TWO)]
    asked = {}
    for model in models:
        fit = halves.fit(model, {"x": (0.0, 1.0), "y": (0.0, 1.0)}, 20)
        target = TensorRt((10, 3), fit, 20)
        plan = Plan(Quantization(), dict.fromkeys(fit, Form.FP16), {}, tensorrt=target)
        if fit:
            asked[model.graph.node[0].op_type] = Question(shipped(model, plan), build=False)
    answers = dict(zip(asked, ask(list(asked.values())), strict=True))
    assert set(ONE) - set(asked) == halves.REFUSED | (halves.INSIDE & set(ONE))
    assert not {op: answer.problems for op, answer in answers.items() if not answer.accepted}


KINDS = [
    *(
        (form, version)
        for form in (Form.FP32, Form.FP16, Form.STATIC)
        for version in ((10, 3), (8, 6))
    ),
    (Form.FP8, (10, 13)),
]


@pytest.mark.parametrize(("form", "version"), KINDS, ids=str)
@pytest.mark.parametrize("name", ["text-angle", "mnist", "faces", "transformer"])
def test_it_is_parsed_and_built(
    models: Callable[[str], Made], name: str, form: Form, version: tuple[int, int]
) -> None:
    made = models(name)
    file = written(made, form, version)
    shapes = {key: _shapes(value.shape) for key, value in made[1].items()}
    told = {key: {"min": p.least, "opt": p.best, "max": p.most} for key, p in shapes.items()}
    part_axes(file, told)
    quantized = sum(node.op_type == "QuantizeLinear" for node in file.graph.node)
    assert bool(quantized) is (form in GRIDS)
    sm = BLACKWELL if form is Form.FP8 else AMPERE
    done = build(tensorrt_rtx, file.SerializeToString(), Options(profiles=shapes), sm=sm)
    assert done.plan.nbytes > 100_000


def _shapes(shape: tuple[int, ...]) -> Profile:
    one = (1, *shape[1:])
    return Profile(one, one, shape)
