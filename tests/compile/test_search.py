"""The search for the mix: on a network of which one node is planted to be destroyed by int8."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto

import odd_models
from int8_graphs import answers
from odd_models import held, node, port
from yardarm import datasets, profiles, project
from yardarm.compile import Engine, compiled
from yardarm.compile.quantization.forms import Form
from yardarm.compile.searching import scoring
from yardarm.compile.searching.budget import Verdict
from yardarm.compile.searching.scoring import Scorer
from yardarm.compile.searching.search import _path
from yardarm.compile.searching.sensitivity import Effect
from yardarm.compile.searching.variants import Variant
from yardarm.compile.searching.walk import Walk
from yardarm.errors import BudgetNotMet, VerificationFailed
from yardarm.events import Step, silent
from yardarm.project import BudgetSection
from yardarm.store import Store

STEP = Step(silent, "test")
SETTINGS = '[model]\nsource = "model.onnx"\n[data]\ncalibration = "c.npz"\nevaluation = "e.npz"\n'
CONVOLUTIONS = ("first", "victim", "third", "fourth")
Arrays = Mapping[str, np.ndarray]
Make = Callable[..., Path]


def network(planted: bool = True) -> ModelProto:
    """Four convolutions. With `planted`, one channel that the victim reads is 1000 times larger
    than the others, and hardly counts: in one scale with it the others are lost."""
    random = np.random.default_rng(1)
    weights = {name: random.normal(0, 0.12, (16, 16, 3, 3)) for name in CONVOLUTIONS}
    far = np.ones((1, 16, 1, 1))
    if planted:
        far[0, 0] = 1000
        weights["victim"][:, 0] *= 1e-6
    nodes = [node("Conv", ["x", "first/w"], ["a"], name="first", pads=[1, 1, 1, 1])]
    nodes += [node("Relu", ["a"], ["b"], name="relu"), node("Mul", ["b", "far"], ["t"], name="far")]
    for name in CONVOLUTIONS[1:]:
        before = nodes[-1].output[0]
        nodes += [
            node("Conv", [before, f"{name}/w"], [f"{name}/c"], name=name, pads=[1, 1, 1, 1]),
            node("Relu", [f"{name}/c"], [f"{name}/r"], name=f"{name}/relu"),
        ]
    nodes += [
        node("Flatten", [nodes[-1].output[0]], ["f"], name="flat"),
        node("Gemm", ["f", "head/w"], ["y"], name="head"),
    ]
    constant = [held(f"{name}/w", values) for name, values in weights.items()]
    constant += [held("far", far), held("head/w", random.normal(0, 0.1, (1024, 6)))]
    ports = [port("x", "n", 16, 8, 8)], [port("y", "n", 6)]
    return odd_models.model(nodes, *ports, constant, 13)


def samples(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 16, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def decided() -> dict[str, np.ndarray]:
    """300 samples of which the planted network is sure, with its answers."""
    x = samples(2, 600)
    ends = answers(network(), {"x": x})["y"]
    sure = np.sort(np.argsort(np.diff(np.sort(ends)[:, -2:])[:, 0])[-300:])
    return {"x": x[sure], "label": ends[sure].argmax(1)}


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """The folder of a project."""

    def make(model: ModelProto, calibration: Arrays, evaluation: Arrays, extra: str = "") -> Path:
        folder = tmp_path / "found"
        folder.mkdir(exist_ok=True)
        onnx.save(model, folder / "model.onnx")
        np.savez(folder / "c.npz", **calibration)
        np.savez(folder / "e.npz", **evaluation)
        (folder / project.FILE).write_text(SETTINGS + extra)
        return folder

    return make


def compiles(folder: Path, store: str = "store") -> Any:
    profile = profiles.load("raspberry-pi-5")
    return compiled(project.load(folder), profile, Store(folder / store), silent).bundle


def precisions(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each["precision"] for each in manifest["nodes"]}


def test_only_the_planted_node_becomes_more_exact(made: Make, decided: Arrays) -> None:
    folder = made(network(), {"x": samples(1, 48)}, decided)
    bundle = compiles(folder)
    manifest = bundle.manifest
    found = precisions(manifest)
    assert found["victim"] in ("int8-weights", "fp32")
    assert {found[name] for name in ("first", "third", "fourth")} == {"int8"}
    assert manifest["sensitivity"][0]["node"] == "victim"
    assert manifest["accuracy"]["drop"]["value"] <= 0.01
    tried = {each["name"]: each for each in manifest["search"]["candidates"]}
    chosen = tried[manifest["search"]["chosen"]]
    assert chosen["meets"] and chosen["complete"]
    assert compiles(folder, "another").digest == bundle.digest


def test_a_hopeless_mix_is_given_up_early(made: Make, decided: Arrays) -> None:
    manifest = compiles(made(network(), {"x": samples(1, 48)}, decided)).manifest
    tried = {each["name"]: each for each in manifest["search"]["candidates"]}
    cheapest = tried["least cost"]
    assert not cheapest["complete"] and not cheapest["meets"]
    assert cheapest["drop"]["samples"] < 300
    assert cheapest["drop"]["low"] > 0.3
    assert cheapest["cost"] == min(each["cost"] for each in tried.values())


def test_the_mix_of_least_cost_is_chosen_where_it_meets_the_budget(
    made: Make, decided: Arrays
) -> None:
    plain = network(planted=False)
    ends = answers(plain, {"x": decided["x"]})["y"]
    sure = np.diff(np.sort(ends)[:, -2:])[:, 0] > ends.std() / 5
    evaluation = {"x": decided["x"][sure], "label": ends[sure].argmax(1)}
    manifest = compiles(made(plain, {"x": samples(1, 48)}, evaluation)).manifest
    assert manifest["search"]["chosen"] == "least cost"
    assert {precisions(manifest)[name] for name in (*CONVOLUTIONS, "head")} == {"int8"}


def test_a_limit_of_size_that_no_mix_meets(made: Make, decided: Arrays) -> None:
    """The nearest miss is the smallest file that is exact enough, not the fp32 one."""
    limit = "[budget]\nmax_size_mb = 0.005\n"
    folder = made(network(), {"x": samples(1, 48)}, decided, limit)
    with pytest.raises(BudgetNotMet) as caught:
        compiles(folder)
    assert caught.value.exit_code == 4
    assert caught.value.what == "model.onnx has 0.017 MB, max_size_mb is 0.005"


class Told(Walk):
    """A way of ten steps on which accuracy is enough from one place on, and size up to one."""

    def __init__(self, first: int, last: int) -> None:
        self.tried = {}
        self._first, self._last = first, last

    def _made(self, name: str, forms: Mapping[str, Form]) -> Any:
        place = list(forms.values()).count(Form.FP32)
        exact = place >= self._first
        meets = exact and place <= self._last
        return SimpleNamespace(exact=exact, verdict=Verdict(() if meets else ("missed",)))


@pytest.mark.parametrize(("first", "last"), [(0, 10), (0, 3), (1, 1), (3, 4), (7, 7), (10, 10)])
def test_halving_finds_what_is_exact_and_small_enough(first: int, last: int) -> None:
    path = [
        {f"n{n}": Form.FP32 if n < place else Form.STATIC for n in range(10)} for place in range(11)
    ]
    walk = Told(first, last)
    assert walk._first_that_meets(path) == first
    assert len(walk.tried) <= 6
    assert Told(first, first - 1)._first_that_meets(path) is None


def test_the_nearest_miss_is_exact_first_and_small_then() -> None:
    def miss(missed: int, drop: float | None, size: int) -> Any:
        estimate = None if drop is None else SimpleNamespace(value=drop)
        lines = Verdict(tuple("missed" for _ in range(missed)))
        return SimpleNamespace(verdict=lines, drop=estimate, data=bytes(size))

    walk = Told(0, 0)
    walk._budget = BudgetSection(max_drop=0.02)
    order = [
        miss(1, 0.02, 100),
        miss(1, 0.0, 400),
        miss(1, 0.03, 50),
        miss(1, None, 10),
        miss(2, 0.0, 10),
    ]
    shuffled = [order[place] for place in (3, 1, 4, 0, 2)]
    assert sorted(shuffled, key=walk._distance) == order


METRICS = {
    "top1": "",
    "mse": '[metric]\nname = "mse"\n',
    "callable": '[metric]\nname = "mine:score"\nlower_is_better = true\n',
}


@pytest.mark.parametrize("metric", METRICS)
def test_a_mix_that_answers_nan_is_not_chosen(metric: str, made: Make) -> None:
    """Roots of differences that are small, but in fp32 never negative."""
    random = np.random.default_rng(3)
    weight = np.abs(random.normal(1, 0.3, (16, 8, 3, 3)))
    nodes = [
        node("Conv", ["x", "w1"], ["p"], name="more"),
        node("Conv", ["x", "w2"], ["q"], name="less"),
        node("Sub", ["p", "q"], ["d"], name="difference"),
        node("Sqrt", ["d"], ["s"], name="root"),
        node("GlobalAveragePool", ["s"], ["g"], name="pool"),
        node("Flatten", ["g"], ["f"], name="flat"),
        node("Gemm", ["f", "w3"], ["y"], name="head"),
    ]
    constant = [held("w1", weight), held("w2", weight - random.uniform(0, 1e-3, weight.shape))]
    constant += [held("w3", random.normal(0, 1, (16, 4)))]
    ports = [port("x", "n", 8, 12, 12)], [port("y", "n", 4)]
    model = odd_models.model(nodes, *ports, constant, 13)
    x = random.uniform(1, 2, (120, 8, 12, 12)).astype(np.float32)
    ends = answers(model, {"x": x})["y"]
    label = ends.argmax(1) if metric == "top1" else ends
    folder = made(model, {"x": x[:40]}, {"x": x, "label": label}, METRICS[metric])
    (folder / "mine.py").write_text("def score(o, l):\n    return ((o['y'] - l) ** 2).mean(1)\n")
    manifest = compiles(folder).manifest
    json.dumps(manifest, allow_nan=False)
    tried = {each["name"]: each for each in manifest["search"]["candidates"]}
    assert tried["least cost"]["drop"] is None
    assert not tried["least cost"]["complete"] and not tried["least cost"]["meets"]
    assert tried[manifest["search"]["chosen"]]["meets"]
    assert "int8" not in {precisions(manifest)[name] for name in ("more", "less")}


LADDERS = [
    (Form.STATIC, Form.FP32),
    (Form.WEIGHTS, Form.FP32),
    (Form.STATIC, Form.WEIGHTS, Form.FP32),
    (Form.STATIC, Form.DYNAMIC, Form.WEIGHTS, Form.FP32),
]
ERRORS = st.one_of(st.floats(0, 1e3), st.just(float("inf")), st.just(0.0))


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LADDERS), st.tuples(ERRORS, ERRORS, ERRORS)), max_size=8))
def test_every_step_of_the_way_is_more_exact(told: list[Any]) -> None:
    choices = {f"n{place}": ladder for place, (ladder, _) in enumerate(told)}
    errors = {
        (f"n{place}", form): error
        for place, (ladder, values) in enumerate(told)
        for form, error in zip(ladder[:-1], values, strict=False)
    }
    effects = tuple((Variant(*key), Effect(error, None)) for key, error in errors.items())
    path = _path({name: ladder[0] for name, ladder in choices.items()}, choices, effects)
    gains = []
    for before, after in itertools.pairwise(path):
        (changed,) = [name for name in choices if before[name] is not after[name]]
        was = errors[changed, before[changed]]
        now = errors.get((changed, after[changed]), 0.0)
        assert now <= was / 2 and now < float("inf")
        gains.append(was - now)
    assert set(path[-1].values()) <= {Form.FP32}
    boundless = [gain == float("inf") for gain in gains]
    assert boundless == sorted(boundless, reverse=True)


@pytest.fixture
def scorer(made: Make) -> Callable[..., tuple[Scorer, Engine]]:
    """A scorer of 2000 samples of two classes, with a candidate that is wrong on the first."""

    def make(wrong: int, extra: str = "", **arrays: np.ndarray) -> tuple[Scorer, Engine]:
        weight = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
        broken = np.array([[1, 0], [0, 1], [5, -5]], np.float32)
        models = [
            odd_models.model(
                [node("MatMul", ["x", "w"], ["y"])],
                [port("x", "n", 3)],
                [port("y", "n", 2)],
                [held("w", values)],
                13,
            )
            for values in (weight, broken)
        ]
        x = np.zeros((2000, 3), np.float32)
        x[:, 1] = 1
        x[:wrong, 2] = 1
        label = np.ones(2000, np.int64)
        folder = made(models[0], {"x": x}, {"x": x, "label": label, **arrays}, extra)
        opened = project.load(folder)
        dataset = datasets.open_dataset(folder / "e.npz", opened.layout)
        return Scorer(Engine(models[0]), dataset, opened, STEP), Engine(models[1])

    return make


def test_a_candidate_is_given_up_only_if_the_rest_cannot_save_it(scorer: Any) -> None:
    """Sets are often sorted: 15 of the first 256 are wrong, and none of those behind."""
    judge, candidate = scorer(15)
    found = judge.score(candidate, STEP, hopeless=0.01)
    assert found.complete
    assert found.drop.value == 15 / 2000
    judge, candidate = scorer(200)
    found = judge.score(candidate, STEP, hopeless=0.01)
    assert not found.complete
    assert found.drop.samples == scoring.FIRST
    assert judge.score(candidate, STEP).drop.value == 0.1


def test_the_first_samples_may_be_of_one_cluster(scorer: Any) -> None:
    people = np.repeat(np.arange(4), 500)
    judge, candidate = scorer(200, 'clusters = "who"\n', who=people)
    found = judge.score(candidate, STEP, hopeless=0.01)
    assert found.drop.method == "cluster-jackknife"
    assert found.drop.samples in (1024, 2000)


def test_an_original_that_answers_infinity_is_told(made: Make) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Log", ["r"], ["y"])]
    model = odd_models.model(nodes, [port("x", "n", 4)], [port("y", "n", 4)])
    x = np.random.default_rng(1).normal(0, 1, (40, 4)).astype(np.float32)
    with pytest.raises(
        VerificationFailed, match=r"outputs y: the original model answers NaN or in"
    ):
        compiles(made(model, {"x": x}, {"x": x, "label": x.argmax(1)}))
