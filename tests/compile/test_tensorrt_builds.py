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
from onnx import ModelProto

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
from yardarm.compile.searching.subject import ladders
from yardarm.profiles import Quantization
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
def models(benches: None, text_angle: Path) -> Callable[[str], Made]:
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
                from zoo import transformer

                subject = transformer.make()
                model = subject.model
                feed = {name: array[:BATCH] for name, array in subject.calibration.items()}
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
