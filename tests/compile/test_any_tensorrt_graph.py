"""Any small graph can be written for TensorRT: its types hold, the host answers as the file does,
and TensorRT-RTX parses it wherever it parses the original."""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

import onnx
import pytest
from onnx import ModelProto

from int8_graphs import Feed, answers, error, ranges
from random_graphs import INPUTS, LIKELY, Recipe, grown, samples
from yardarm.artifacts import Layout
from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.quantization import halves
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.names import shorten
from yardarm.compile.quantization.plan import Plan, TensorRt
from yardarm.compile.quantization.quantize import quantize, shipped
from yardarm.compile.readiness.asking import Question, ask
from yardarm.compile.searching.subject import ladders
from yardarm.profiles import Quantization

BATCH = 4
# With the operator sets that are written for them; the last one lacks int8 ending in float16.
VERSIONS = [
    ((8, 5), 13, 17),
    ((8, 6), 13, 17),
    ((10, 3), 19, 20),
    ((10, 16), 19, 20),
    ((10, 3), 13, 17),
]
LOW = (Form.FP8, Form.STATIC)
SEEDS = range(40)


class Case(NamedTuple):
    original: ModelProto
    plan: Plan
    feed: Feed


@cache
def case(seed: int) -> Case:
    """A random graph with random forms for one of the versions."""
    draw = random.Random(seed)
    recipe = Recipe(
        opset=draw.choice([9, 11, 13, 15, 17, 18, 20]),
        inputs=tuple(draw.sample(sorted(INPUTS), draw.randint(1, 3))),
        steps=tuple((draw.choice(LIKELY), draw.randint(0, 59)) for _ in range(draw.randint(3, 9))),
        seed=seed,
        batch=draw.choice([None, BATCH]),
        scale=draw.choice([1.0, 0.01, 30.0]),
        outputs=draw.randint(1, 2),
        names=draw.choice(["_", "/", ":"]),
    )
    version, lowest, highest = VERSIONS[seed % len(VERSIONS)]
    feed = samples(recipe, seed, BATCH)
    model = normalise(grown(recipe), lowest, highest, feed, Layout(BATCH))
    seen = ranges(model, feed)
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    low = LOW if version == (10, 16) else LOW[1:]
    target = TensorRt(version, halves.fit(model, seen, opset), opset, low)
    offered = ladders(model, set(seen), target)
    forms = {name: draw.choice(each) for name, each in offered.items()}
    choice = Quantization(symmetric_activations=True, per_channel=draw.random() < 0.8)
    return Case(model, Plan(choice, forms, seen, tensorrt=target), feed)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_valid_and_the_host_answers_as_it_does(seed: int) -> None:
    model, plan, feed = case(seed)
    host, typed = quantize(model, plan), shipped(model, plan)
    for written in (host, typed):
        onnx.checker.check_model(written, full_check=True)
    expected, found = answers(host, feed, literally=True), answers(typed, feed, literally=True)
    assert [values.dtype for values in found.values()] == [
        values.dtype for values in expected.values()
    ]
    assert error(expected, found) < 1e-3
    low = any(form in LOW for form in plan.forms.values())
    assert error(answers(model, feed), expected) < (0.3 if low else 1e-4)


def test_it_is_parsed_where_the_original_is() -> None:
    cases = [case(seed) for seed in SEEDS]
    pairs = [(each.original, shipped(each.original, each.plan)) for each in cases]
    told = iter(ask([question(model) for pair in pairs for model in pair]))
    answered = dict(zip(SEEDS, zip(told, told, strict=True), strict=True))
    assert sum(original.accepted for original, _ in answered.values()) > len(SEEDS) / 2
    assert not {
        seed: file.problems
        for seed, (original, file) in answered.items()
        if original.accepted and not file.accepted
    }


def question(model: ModelProto) -> Question:
    short, _ = shorten(model)
    return Question(short, build=False)
