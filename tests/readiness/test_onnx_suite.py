"""The check beside TensorRT-RTX's parser on ONNX's own tests, over a thousand small models: it
may refuse nothing that the parser takes, but for what the target's older tables lack."""

from __future__ import annotations

import warnings

import pytest
from onnx import ModelProto

from yardarm import profiles
from yardarm.compile.readiness import Readiness, check
from yardarm.compile.readiness.asking import Answer, Question, ask

NEWER = 99  # TensorRT-RTX parses operator sets beyond those that any Jetson's is documented for
LATER = {"Swish"}  # operators that TensorRT-RTX has got since
AGREE = 0.9  # the rest are limits of single operators, and plugins that TensorRT-RTX lacks

Verdicts = list[tuple[str, Readiness, Answer]]


@pytest.fixture(scope="module")
def verdicts() -> Verdicts:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    models = [(case.name, case.model) for case in cases if case.model and plain(case.model)]
    thor = profiles.load("jetson-agx-thor")
    release = profiles.release_for(thor).model_copy(update={"opset_max": NEWER})
    answers = ask([Question(model, build=False) for _, model in models])
    return [
        (name, check(model, thor, release), answer)
        for (name, model), answer in zip(models, answers, strict=True)
    ]


def plain(model: ModelProto) -> bool:
    """Of ONNX's own domain, and not a function written out."""
    own = all(entry.domain == "" for entry in model.opset_import)
    return own and "_expanded" not in model.graph.name


def test_nothing_is_refused_that_the_parser_takes(verdicts: Verdicts) -> None:
    strict = [(name, ours.errors) for name, ours, theirs in verdicts if theirs.accepted]
    refused = [(name, each) for name, errors in strict for each in errors]
    assert not [told for told in refused if told[1].op not in LATER and told[1].rule != "int4"]


def test_most_of_what_the_parser_refuses_is_known(verdicts: Verdicts) -> None:
    assert len(verdicts) > 1000
    refused = [ours.ready for _, ours, theirs in verdicts if not theirs.accepted]
    assert len(refused) > 300
    assert sum(ready is False for ready in refused) > 0.8 * len(refused)
    alike = [ours.ready == theirs.accepted for _, ours, theirs in verdicts]
    assert sum(alike) > AGREE * len(alike)
