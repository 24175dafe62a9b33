"""Changes tried side by side in one graph answer as they would alone, and are ranked rightly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper

import odd_models
from int8_graphs import FORMS, answers, plan, ranges, written
from odd_models import held, node, port, unshaped, weights
from yardarm import datasets
from yardarm.artifacts import Layout
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.searching import sensitivity
from yardarm.compile.searching.sensitivity import Data, Effect, Trials
from yardarm.compile.searching.subject import ladders
from yardarm.compile.searching.variants import Rounded, Variant, branched, length
from yardarm.compile.session import Engine
from yardarm.events import Step, silent
from yardarm.profiles import Quantization
from yardarm.project import MetricSection
from yardarm.store import Store

STEP = Step(silent, "test")


def network() -> ModelProto:
    """Every kind of form; two outputs, of which one ends early."""
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["r"], name="relu"),
        node("Conv", ["r", "w2"], ["c"], name="deep", pads=[1, 1, 1, 1]),
        node("Add", ["c", "r"], ["s"], name="add"),
        node("GlobalAveragePool", ["s"], ["early"], name="pool"),
        node("Flatten", ["early"], ["f"], name="flat"),
        node("Gemm", ["f", "w3", "b3"], ["logits"], name="head"),
        node("Softmax", ["logits"], ["y"], name="softmax"),
    ]
    constant = [weights("w1", 8, 3, 3, 3), weights("b1", 8), weights("w2", 8, 8, 3, 3)]
    constant += [weights("w3", 8, 4), weights("b3", 4)]
    outputs = [port("y", "n", 4), port("early", "n", 8, 1, 1)]
    return odd_models.model(nodes, [port("x", "n", 3, 6, 6)], outputs, constant, 13)


def control_flow() -> ModelProto:
    """The bodies of `If` read what `first` and `last` make, and only they do."""
    bodies = {
        "then_branch": helper.make_graph(
            [node("Sub", ["a", "b"], ["t"])], "t", [], [unshaped("t")]
        ),
        "else_branch": helper.make_graph(
            [node("Add", ["b", "a"], ["e"])], "e", [], [unshaped("e")]
        ),
    }
    nodes = [
        node("Gemm", ["x", "w1"], ["a"], name="first"),
        node("Gemm", ["x", "w2"], ["b"], name="last"),
        node("If", ["yes"], ["c"], name="choice", **bodies),
        node("Neg", ["c"], ["y"], name="negate"),
    ]
    constant = [weights("w1", 8, 4), weights("w2", 8, 4), held("yes", True, np.bool_)]
    return odd_models.model(nodes, [port("x", "n", 8)], [port("y", "n", 4)], constant, 13)


def sample(model: ModelProto, count: int = 6) -> dict[str, np.ndarray]:
    return odd_models.feed(model, count)


def changes(model: ModelProto, feed: dict[str, np.ndarray]) -> list[Variant]:
    found = ladders(model, set(ranges(model, feed)))
    return [Variant(name, form) for name, forms in found.items() for form in forms[:-1]]


@pytest.mark.parametrize("make", [network, control_flow])
def test_a_branch_answers_as_a_file_with_that_change_alone(make: Any) -> None:
    original = make()
    feed = sample(original)
    tried = changes(original, feed)
    assert len({change.node for change in tried}) == (5 if make is network else 2)
    branches = branched(original, tried, plan(original, {}, feed))
    together = answers(branches.model, feed, literally=True)
    plain = answers(original, feed, literally=True)
    for change, outputs in zip(tried, branches.outputs, strict=True):
        alone = written(original, {change.node: change.form}, feed)
        for name, values in answers(alone, feed, literally=True).items():
            found = together[outputs.get(name, name)]
            np.testing.assert_array_equal(found, values, err_msg=str(change))
            assert np.array_equal(values, plain[name]) == (name not in outputs)
    for name, values in plain.items():
        np.testing.assert_array_equal(together[name], values)


def test_a_rounded_tensor_is_rounded_for_all_its_readers() -> None:
    original = network()
    feed = sample(original)
    low, high = ranges(original, feed)["r"]
    branches = branched(original, [Rounded("r", (low, high / 2))], plan(original, {}, feed))
    found = answers(branches.model, feed, literally=True)
    (outputs,) = branches.outputs
    assert set(outputs) == {"y", "early"}
    rounded = odd_models.model(
        [
            *original.graph.node[:2],
            node("QuantizeLinear", ["r", "scale", "zero"], ["q"]),
            node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            node("Conv", ["d", "w2"], ["c"], pads=[1, 1, 1, 1]),
            node("Add", ["c", "d"], ["s"]),
            *original.graph.node[4:],
        ],
        list(original.graph.input),
        list(original.graph.output),
        [*original.graph.initializer, held("scale", high / 2 / 255), held("zero", -128, np.int8)],
        13,
    )
    for name, values in answers(rounded, feed, literally=True).items():
        np.testing.assert_array_equal(found[outputs[name]], values)


def test_a_branch_is_as_long_as_what_lies_behind_its_change() -> None:
    original = network()
    assert length(original, Variant("conv", FORMS["int8"])) == 8
    assert length(original, Variant("head", FORMS["int8"])) == 2
    assert length(original, Rounded("r", (0, 1))) == 6
    silent_outputs = node("LSTM", ["x", "w", "r"], ["", "h"], name="lstm", hidden_size=2)
    beside = node("Clip", ["x", "", "most"], ["y"], name="clip")
    made = odd_models.model([silent_outputs, beside], [port("x", 1, 1, 1)], [port("h", 1, 1, 2)])
    assert length(made, Variant("lstm", FORMS["int8-dynamic"])) == 1


@pytest.fixture
def planted(tmp_path: Path) -> tuple[ModelProto, Plan, Data]:
    """Three products in a row; one input channel of the second is 300 times larger than the
    others, and its weights hardly count."""
    far, rare = np.ones(16, np.float32), np.ones(16, np.float32)
    far[0], rare[0] = 300, 0.002 / 300
    nodes = [
        node("MatMul", ["x", "w1"], ["a"], name="first"),
        node("Mul", ["a", "far"], ["m"], name="far"),
        node("MatMul", ["m", "w2"], ["b"], name="second"),
        node("MatMul", ["b", "w3"], ["y"], name="third"),
    ]
    constant = [weights(name, 16, 16) for name in ("w1", "w2", "w3")]
    second = onnx.numpy_helper.to_array(constant[1]) * rare[:, None]
    constant[1].CopyFrom(held("w2", second))
    original = odd_models.model(
        nodes, [port("x", "n", 16)], [port("y", "n", 16)], [*constant, held("far", far)], 13
    )
    x = np.random.default_rng(4).normal(0, 1, (160, 16)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, label=answers(original, {"x": x})["y"].argmax(1))
    dataset = datasets.open_dataset(tmp_path / "data.npz", Layout(batch=16))
    return original, Plan(Quantization(), {}, ranges(original, {"x": x})), Data(dataset, "sha256:0")


def ranked(model: ModelProto, tried: list[Variant], found: list[Effect]) -> list[str]:
    order = np.argsort([-effect.error for effect in found], kind="stable")
    return [f"{tried[place].node} {tried[place].form}" for place in order]


def effects(
    planted: tuple[ModelProto, Plan, Data], folder: Path, **more: Any
) -> tuple[list[Variant], list[Effect]]:
    model, chosen, data = planted
    with_forms = ladders(model, set(chosen.ranges))
    tried = [Variant(name, form) for name, forms in with_forms.items() for form in forms[:-1]]
    trials = Trials(model, 1000.0, Store(folder))
    return tried, trials.effects(tried, chosen, data, STEP, **more)


def test_the_node_with_planted_outliers_comes_first(
    planted: tuple[ModelProto, Plan, Data], tmp_path: Path
) -> None:
    tried, found = effects(planted, tmp_path / "s", metric=MetricSection(), labels="label")
    names = ranked(planted[0], tried, found)
    assert set(names[:2]) == {"second int8", "second int8-dynamic"}
    told = {f"{one.node} {one.form}": effect for one, effect in zip(tried, found, strict=True)}
    assert told["second int8"].error > 20 * told["third int8"].error
    assert (told["second int8"].drop or 0) > (told["third int8"].drop or 0)
    assert told["third int8-weights"].error < 1e-3


def test_neither_pieces_nor_an_early_stop_change_the_ranking(
    planted: tuple[ModelProto, Plan, Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, whole = effects(planted, tmp_path / "whole")
    monkeypatch.setattr(sensitivity, "NODES", 3)
    _, pieces = effects(planted, tmp_path / "pieces")
    worst = max(effect.error for effect in whole)
    for one, other in zip(whole, pieces, strict=True):
        assert one.error == pytest.approx(other.error, rel=0.3, abs=worst / 100)
    monkeypatch.setattr(sensitivity, "SETTLED", 0.0)
    monkeypatch.setattr(sensitivity, "NODES", 6_000)
    _, patient = effects(planted, tmp_path / "patient")
    rankings = [ranked(planted[0], tried, found) for found in (whole, pieces, patient)]
    assert [ranking[:4] for ranking in rankings] == [rankings[0][:4]] * 3


def test_effects_are_remembered(
    planted: tuple[ModelProto, Plan, Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = effects(planted, tmp_path / "s")
    with monkeypatch.context() as patch:
        patch.setattr(sensitivity, "branched", None)
        _, again = effects(planted, tmp_path / "s")
    assert first == again
    model, chosen, data = planted
    other = model, Plan(chosen.choice, {}, chosen.ranges | {"b": (-1.0, 1.0)}), data
    _, different = effects(other, tmp_path / "s")
    assert different != first


def test_a_change_that_answers_nan_is_worst_and_hides_no_other(tmp_path: Path) -> None:
    """The root of a difference that is small, but never negative in fp32."""
    nodes = [
        node("MatMul", ["x", "w1"], ["p"], name="more"),
        node("MatMul", ["x", "w2"], ["q"], name="less"),
        node("Sub", ["p", "q"], ["d"], name="difference"),
        node("Sqrt", ["d"], ["r"], name="root"),
        node("MatMul", ["r", "w3"], ["y"], name="last"),
    ]
    positive = np.abs(onnx.numpy_helper.to_array(weights("w1", 8, 8))) + 1
    constant = [held("w1", positive), held("w2", positive * 0.999), weights("w3", 8, 8)]
    original = odd_models.model(nodes, [port("x", "n", 8)], [port("y", "n", 8)], constant, 13)
    x = np.random.default_rng(4).uniform(1, 2, (64, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, label=answers(original, {"x": x})["y"])
    data = Data(datasets.open_dataset(tmp_path / "data.npz", Layout(batch=16)), "sha256:0")
    planned = original, Plan(Quantization(), {}, ranges(original, {"x": x})), data
    metric = MetricSection(name="mse")
    tried, found = effects(planned, tmp_path / "s", metric=metric, labels="label")
    assert effects(planned, tmp_path / "s", metric=metric, labels="label")[1] == found
    told = {f"{one.node} {one.form}": effect for one, effect in zip(tried, found, strict=True)}
    assert told["more int8"] == Effect(np.inf, None)
    assert 0 < told["last int8"].error < 1e-2
    assert told["last int8"].drop is not None


def test_samples_come_from_everywhere(planted: tuple[ModelProto, Plan, Data]) -> None:
    model, _, data = planted
    chosen = list(sensitivity.spread(data.dataset, Engine(model), 32))
    places = [
        int(np.flatnonzero((data.dataset.read("x") == feed["x"][0]).all(1))[0]) for feed in chosen
    ]
    assert len(chosen) == 4
    assert places[-1] >= 80
