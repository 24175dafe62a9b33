"""The rules against the real parser and builder of TensorRT-RTX, all in one process of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from readiness_models import RIGHT, Case, cases, dynamic, one
from yardarm import profiles
from yardarm.compile.building import part_axes
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.grids import GRIDS
from yardarm.compile.readiness import RULES, Severity, check, is_asked, oracle
from yardarm.compile.readiness.asking import Answer, Question, ask, refusal
from yardarm.process import ProcessFailed
from yardarm.profiles import Release

PROBED = {rule.id for rule in RULES if rule.mark == "P"}
PAIRS = [case for case in cases() if case.rule in PROBED]
TEXT_ANGLE = {"x": {"min": [1, 3, 48, 192], "opt": [8, 3, 48, 192], "max": [32, 3, 48, 192]}}


def title(case: Case) -> str:
    return f"{case.rule} {case.title}".strip()


@pytest.fixture(scope="module")
def answers() -> list[tuple[Answer, Answer]]:
    """What TensorRT-RTX says of each pair, bad and good."""
    questions = [
        question
        for case in PAIRS
        for question in (
            Question(case.bad, profiles=case.profiles),
            Question(case.good, profiles=case.good_profiles),
        )
    ]
    told = ask(questions)
    return list(zip(told[::2], told[1::2], strict=True))


@pytest.mark.parametrize("place", range(len(PAIRS)), ids=[title(case) for case in PAIRS])
def test_what_we_reject_is_rejected_and_the_twin_builds(
    place: int, answers: list[tuple[Answer, Answer]]
) -> None:
    bad, good = answers[place]
    assert not bad.accepted
    assert all(problem["what"] for problem in bad.problems)
    assert good.accepted, good.problems
    assert good.size > 1000


def released(profile: str, jetpack: str | None = None) -> Release:
    return profiles.release_for(profiles.load(profile), jetpack)


ORIN, THOR = released("jetson-orin-nano-8gb", "6.2"), released("jetson-agx-thor", "7.2")


def test_text_angle_is_ready_and_builds(text_angle_model: ModelProto) -> None:
    parted = ModelProto.FromString(text_angle_model.SerializeToString())
    part_axes(parted, TEXT_ANGLE)
    for name in ("jetson-orin-nano-8gb", "jetson-agx-thor"):
        found = check(
            parted,
            profiles.load(name),
            released(name),
            profiles=TEXT_ANGLE,
            imported=True,
        )
        assert not [each for each in found.findings if each.severity is not Severity.NOTE]
    (note,) = oracle(parted, THOR, profiles=TEXT_ANGLE)
    assert note.severity is Severity.NOTE
    assert "parser and builder accept" in note.what


def test_text_angle_names_two_axes_alike(text_angle_model: ModelProto) -> None:
    orin = profiles.load("jetson-orin-nano-8gb")
    for shapes, imported, severity in (
        (TEXT_ANGLE, False, Severity.ERROR),
        (TEXT_ANGLE, True, Severity.NOTE),
        (None, True, Severity.NOTE),
        (None, False, Severity.WARNING),
    ):
        found = check(text_angle_model, orin, ORIN, profiles=shapes, imported=imported)
        told = [each.severity for each in found.findings if each.rule == "axis-name"]
        assert told == [severity]
    (error,) = oracle(text_angle_model, THOR, profiles=TEXT_ANGLE)
    assert "Input dimensions with this name" in error.what


@pytest.mark.parametrize(
    ("what", "severity"),
    [
        ("Error Code 10: Internal Error (Could not find any implementation for node n)", "warning"),
        ("Error Code 1: Myelin (No results returned from compilation)", "warning"),
        ("Error Code 4: API Usage Error (n: Input dimensions with this name)", "error"),
    ],
)
def test_a_fault_of_its_own_is_no_refusal(what: str, severity: str) -> None:
    found = refusal({"node": "n", "op": "Conv", "what": what}, THOR)
    assert found.severity.value == severity


def test_float8_is_built_for_a_gpu_that_has_it() -> None:
    values = np.ones((16, 16), GRIDS[Form.FP8].kind)
    scale = numpy_helper.from_array(np.array(0.5, np.float32), "s")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "s"], ["f"], "f"),
        helper.make_node("DequantizeLinear", ["w", "s"], ["v"], "v"),
        helper.make_node("MatMul", ["f", "v"], ["y"], "product"),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [16, 16]) for name in "xy"]
    zero = numpy_helper.from_array(np.zeros((), values.dtype), "z")
    held = [scale, zero, numpy_helper.from_array(values, "w")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    (note,) = oracle(model, THOR)
    assert "parser and builder accept" in note.what


def test_a_refusal_weighs_more_the_nearer_the_version() -> None:
    (error,) = oracle(one("Det"), THOR)
    assert (error.severity, error.node, error.op) == (Severity.ERROR, "Det-y", "Det")
    (warning,) = oracle(one("Det"), ORIN)
    assert warning.severity is Severity.WARNING


def test_without_profiles_a_dynamic_model_is_parsed_alone() -> None:
    (note,) = oracle(dynamic(), THOR)
    assert "parser accepts" in note.what
    assert "builder" not in note.what
    (note,) = oracle(dynamic(), THOR, profiles=RIGHT)
    assert "parser and builder accept" in note.what


def test_it_is_asked_from_tensorrt_10_on() -> None:
    assert is_asked(THOR)
    assert is_asked(ORIN)
    assert not is_asked(released("jetson-orin-nano-8gb", "6.0"))


CRASHES = """
import json, os, sys
for line in sys.stdin:
    request = json.loads(line)
    if b"Det" in open(request["model"], "rb").read():
        os.abort()
    print(json.dumps({"accepted": True, "problems": [], "bytes": 7}), flush=True)
"""


def test_a_crash_is_an_answer_and_the_others_are_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "crashes.py"
    program.write_text(CRASHES)
    monkeypatch.setattr("yardarm.compile.readiness.asking.PROGRAM", program)
    told = ask([Question(one(op)) for op in ("Relu", "Det", "Relu", "Det")])
    assert [answer.accepted for answer in told] == [True, False, True, False]
    assert "ended with -6" in told[1].problems[0]["what"]
    (finding,) = oracle(one("Det"), THOR)
    assert finding.severity is Severity.ERROR


def test_a_parser_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "hangs.py"
    program.write_text("import time; time.sleep(60)")
    monkeypatch.setattr("yardarm.compile.readiness.asking.PROGRAM", program)
    monkeypatch.setattr("yardarm.compile.readiness.asking.PATIENCE", 0.5)
    with pytest.raises(ProcessFailed):
        ask([Question(one("Relu"))])
