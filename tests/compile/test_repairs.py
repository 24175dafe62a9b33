"""What makes int8 answer more alike at no cost: better ranges, and biases that are corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

import odd_models
from int8_graphs import FORMS, answers, ranges
from odd_models import held, node, port
from yardarm import datasets
from yardarm.artifacts import Layout
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.quantization.quantize import quantize
from yardarm.compile.searching.repairs import bias_shifts, ranges_by_tensor
from yardarm.compile.searching.sensitivity import Data, Trials
from yardarm.datasets import Dataset
from yardarm.events import Step, silent
from yardarm.profiles import Quantization
from yardarm.store import Store

STEP = Step(silent, "test")


def normal(*shape: int, seed: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def stored(folder: Path, x: np.ndarray) -> Dataset:
    np.savez(folder / "data.npz", x=x)
    return datasets.open_dataset(folder / "data.npz", Layout(batch=16))


def one(op: str, x: np.ndarray, weight: Any, *bias: Any, **settings: Any) -> ModelProto:
    constant = [held(f"w{place}", values) for place, values in enumerate((weight, *bias))]
    reads = ["x", *(tensor.name for tensor in constant)]
    only = node(op, reads, ["y"], name="n", **settings)
    made = odd_models.model([only], [port("x", "n", *x.shape[1:])], [port("y")], constant, 13)
    made.graph.output[0].type.tensor_type.ClearField("shape")
    return made


POSITIVE = np.abs(normal(64, 8, 6, 6)) * np.linspace(0, 3, 8, dtype=np.float32)[:, None, None]
NODES: dict[str, Any] = {
    "Conv": ("Conv", POSITIVE, normal(6, 8, 3, 3), normal(6)),
    "Conv in groups": ("Conv", POSITIVE, normal(6, 4, 3, 3)),
    "Gemm": ("Gemm", POSITIVE[:, :, 0, 0], normal(8, 5)),
    "Gemm transposed": ("Gemm", POSITIVE[:, :, 0, 0], normal(5, 8)),
}
SETTINGS: dict[str, Any] = {"Conv in groups": {"group": 2}, "Gemm transposed": {"transB": 1}}


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("per_channel", [True, False])
def test_outputs_keep_their_means(name: str, per_channel: bool, tmp_path: Path) -> None:
    op, x, *constant = NODES[name]
    model = one(op, x, *constant, **SETTINGS.get(name, {}))
    feed, dataset = {"x": x}, stored(tmp_path, x)
    choice = Quantization(per_channel=per_channel)
    plan = Plan(choice, {"n": FORMS["int8-weights"]}, ranges(model, feed))
    shifts = bias_shifts(model, plan, dataset)
    expected = answers(model, feed)["y"]
    moved = []
    for given in ({}, shifts):
        written = quantize(model, Plan(choice, plan.forms, plan.ranges, given))
        wrong = answers(written, feed, literally=True)["y"] - expected
        moved.append(np.abs(wrong.reshape(*wrong.shape[:2], -1).mean((0, 2))).max())
    assert moved[1] < moved[0] / 10


def test_only_products_that_are_plain_are_corrected(tmp_path: Path) -> None:
    x = np.abs(normal(16, 8))
    for settings in ({"alpha": 2.0}, {"beta": 0.5}):
        model = one("Gemm", x, normal(8, 5), normal(5), **settings)
        plan = Plan(Quantization(), {"n": FORMS["int8-weights"]}, {})
        assert bias_shifts(model, plan, stored(tmp_path, x)) == {}


def test_each_tensor_gets_the_range_that_disturbs_the_outputs_least(tmp_path: Path) -> None:
    """Values beyond 1 are cut off behind `a`, so that steps are better spent below; what is
    beyond 1 in `b` counts."""
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="first"),
        node("Clip", ["a", "low", "high"], ["c"], name="clip"),
        node("MatMul", ["x", "v"], ["b"], name="second"),
        node("Add", ["b", "c"], ["y"], name="sum"),
    ]
    constant = [held("w", 4 * normal(8, 8)), held("v", 4 * normal(8, 8, seed=7))]
    constant += [held("low", -1), held("high", 1)]
    ports = [port("x", "n", 8)], [port("y", "n", 8)]
    model = odd_models.model(nodes, *ports, constant, 13)
    x = normal(64, 8, seed=8)
    whole = ranges(model, {"x": x})
    narrow = dict.fromkeys(whole, (-1.0, 1.0))
    offered = {"min-max": whole, "narrow": narrow}
    trials = Trials(model, 1000.0, Store(tmp_path / "store"))
    data = Data(stored(tmp_path, x), "sha256:0")
    for start in (whole, narrow):
        plan = Plan(Quantization(), {}, start)
        found = ranges_by_tensor(trials, plan, offered, ["a", "b"], data=data, step=STEP)
        assert (found["a"], found["b"], found["y"]) == (narrow["a"], whole["b"], start["y"])
