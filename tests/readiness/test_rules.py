"""Each rule rejects what breaks it and lets its twin pass; all findings come at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from readiness_models import (
    Case,
    added,
    cases,
    constant,
    dynamic,
    inside,
    int4,
    node,
    one,
    quantized,
    small_float,
    value,
)
from readiness_models import (
    model as built,
)
from yardarm import profiles
from yardarm.compile import readiness
from yardarm.compile.readiness import RULES, Finding, Readiness
from yardarm.errors import Unsupported

BY_NAME = {rule.id: rule for rule in RULES}


def checked(model: ModelProto, profile: str, jetpack: str | None, **options: Any) -> Readiness:
    chosen = profiles.load(profile)
    release = profiles.release_for(chosen, jetpack)
    return readiness.check(model, chosen, release, **options)


def on_orin(model: ModelProto, jetpack: str = "6.2", **options: Any) -> Readiness:
    return checked(model, "jetson-orin-nano-8gb", jetpack, **options)


def named(found: Readiness, rule: str) -> list[Finding]:
    return [each for each in found.findings if each.rule == rule]


def title(case: Case) -> str:
    return f"{case.rule} {case.title}".strip()


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in cases()} == set(BY_NAME)
    assert len(BY_NAME) == len(RULES)


@pytest.mark.parametrize("case", cases(), ids=title)
def test_a_rule_finds_what_breaks_it_and_nothing_else(case: Case) -> None:
    bad = checked(case.bad, case.profile, case.jetpack, profiles=case.profiles)
    good = checked(case.good, case.profile, case.jetpack, profiles=case.good_profiles)
    found = named(bad, case.rule)
    assert found
    assert {each.severity for each in found} <= set(BY_NAME[case.rule].severities)
    assert all(each.what and each.hint for each in found)
    assert good.ready
    assert not named(good, case.rule)


@pytest.mark.parametrize("case", [c for c in cases() if BY_NAME[c.rule].mark == "P"], ids=title)
def test_what_was_probed_is_an_error(case: Case) -> None:
    bad = checked(case.bad, case.profile, case.jetpack, profiles=case.profiles)
    assert not bad.ready


def test_rules_are_told_with_their_origin() -> None:
    for rule in RULES:
        assert rule.mark in ("P", "S", "M", "T")
        assert rule.source
        assert rule.says.endswith(".")
        assert rule.severities


def test_all_findings_come_at_once_errors_first() -> None:
    model = quantized(np.uint8(128), scale=-1.0)
    model.graph.node.append(node("Det", ["x"], ["det"], name="det"))
    found = on_orin(model)
    assert {"zero-point", "scale", "operator"} <= {each.rule for each in found.errors}
    assert {"uint8"} <= {each.rule for each in found.findings}
    order = [each.severity for each in found.findings]
    assert order == sorted(order, key=list(readiness.Severity).index)
    names = [(each.node, each.op) for each in named(found, "zero-point")]
    assert names == [("quantize", "QuantizeLinear"), ("dequantize", "DequantizeLinear")]


@pytest.mark.parametrize("holder", ["If", "Loop"])
def test_inner_graphs_are_read_too(holder: str) -> None:
    found = on_orin(inside(node("Det", ["x"], ["y"], name="deep"), holder))
    assert [each.node for each in named(found, "operator")] == ["deep"]
    assert on_orin(inside(node("Relu", ["x"], ["y"], name="deep"), holder)).ready


def test_functions_of_the_model_are_written_out() -> None:
    opsets = [helper.make_opsetid("", 17)]
    inner = helper.make_function("own", "F", ["a"], ["b"], [node("Det", ["a"], ["b"])], opsets)
    model = one("Relu")
    model.graph.node[0].op_type, model.graph.node[0].domain = "F", "own"
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(inner)
    assert [each.op for each in on_orin(model).errors] == ["Det"]


def test_a_node_without_a_name_is_told_by_its_output() -> None:
    model = one("Det")
    model.graph.node[0].name = ""
    assert [each.node for each in on_orin(model).errors] == ["output y"]


@pytest.mark.parametrize(
    ("op", "opset", "lacks", "has"),
    [
        ("GridSample", 16, "5.0.2", "5.1"),
        ("LayerNormalization", 17, "5.1", None),
        ("Mish", 18, "5.1", None),
    ],
)
def test_operators_come_with_versions(op: str, opset: int, lacks: str, has: str | None) -> None:
    model = one("Relu", opset=opset)
    model.graph.node[0].op_type = op
    assert named(checked(model, "jetson-xavier-nx", lacks, imported=True), "operator")
    later = (
        checked(model, "jetson-xavier-nx", has, imported=True)
        if has
        else on_orin(model, "6.2", imported=True)
    )
    assert not named(later, "operator")


def test_an_operator_of_another_domain_that_tensorrt_would_take_for_its_own() -> None:
    model = one("Gelu", opset=17)
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    (finding,) = named(on_orin(model), "operator")
    assert finding.severity is readiness.Severity.WARNING


def test_a_newer_operator_set_is_an_error_for_what_was_written_only() -> None:
    model = one("Relu", opset=21)
    assert [each.rule for each in on_orin(model).errors] == ["opset"]
    imported = on_orin(model, imported=True)
    assert imported.ready
    assert named(imported, "opset")


@pytest.mark.parametrize("imported", [True, False])
def test_an_operator_set_that_compiling_cannot_raise_is_an_error(imported: bool) -> None:
    model = one("Relu", opset=6)
    (finding,) = named(on_orin(model, imported=imported), "opset")
    told = readiness.Severity.ERROR if imported else readiness.Severity.WARNING
    assert finding.severity is told
    model.opset_import[0].version = 7
    assert on_orin(model, imported=imported).ready


def test_an_operator_that_no_version_has_is_not_looked_for_in_a_newer_jetpack() -> None:
    (det,) = named(on_orin(one("Det")), "operator")
    assert "JetPack" not in det.hint


def test_an_operator_set_newer_than_any() -> None:
    model = one("Relu")
    model.opset_import[0].version = 99
    assert not on_orin(model).ready


def test_profiles_that_are_not_chosen_yet_are_no_error() -> None:
    found = on_orin(dynamic())
    assert found.ready
    assert named(found, "shape-profile")
    assert not named(on_orin(one("Relu"), profiles={}), "shape-profile")


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"min": [1, 4]},
        {"min": [1], "opt": [1], "max": [1]},
        {"min": [-1, 4], "opt": [1, 4], "max": [1, 4]},
    ],
)
def test_damaged_profiles_are_errors(shapes: Any) -> None:
    assert not on_orin(dynamic(), profiles={"x": shapes}).ready


def test_integers_are_narrowed_before_tensorrt_9_only() -> None:
    assert named(on_orin(added(1 << 40), "6.0"), "int64")
    assert not named(on_orin(added(1 << 40), "6.2"), "int64")


def test_integers_of_64_bits_are_listed_as_those_of_32_before_tensorrt_9() -> None:
    assert not on_orin(added(5), "5.1").findings


def test_axes_that_follow_from_shapes_are_known() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Size", ["s"], ["n"]),
        node("Sub", ["n", "one"], ["last"]),
        node("Unsqueeze", ["last", "zero"], ["axes"]),
        node("ReduceSum", ["x", "axes"], ["y"]),
    ]
    held = [constant("one", np.array(1)), constant("zero", np.array([0]))]
    given = built(nodes, [value("x", [4, 4])], [value("y", [4, 1])], held)
    assert on_orin(given).ready


def test_axes_that_are_computed_from_what_is_fed_are_not() -> None:
    nodes = [node("Neg", ["a"], ["axes"]), node("ReduceSum", ["x", "axes"], ["y"])]
    inputs = [value("x", [4, 4]), value("a", [1], TensorProto.INT64)]
    given = built(nodes, inputs, [value("y", [4, 1])])
    assert named(on_orin(given), "constant-input")


def test_int4_weights_may_stand_alone() -> None:
    assert not checked(int4(), "jetson-agx-thor", "7.2").findings


def test_int4_needs_a_new_tensorrt_and_operator_set() -> None:
    assert not on_orin(int4(), "5.1", imported=True).ready
    old = int4()
    old.opset_import[0].version = 20
    assert named(on_orin(old, "6.2"), "int4")


def test_small_floats_are_for_devices_that_have_them() -> None:
    eight = small_float(TensorProto.FLOAT8E4M3FN, 19)
    assert named(on_orin(eight, "7.2"), "float8")
    assert not named(checked(eight, "jetson-agx-thor", "7.2"), "float8")
    four = small_float(TensorProto.FLOAT4E2M1, 23)
    assert named(on_orin(four, "7.2"), "float4")
    assert not named(checked(four, "jetson-agx-thor", "7.2"), "float4")
    other = small_float(TensorProto.FLOAT8E5M2, 19)
    assert named(checked(other, "jetson-agx-thor", "7.2"), "float8")


def test_require_raises_with_every_error() -> None:
    readiness.require(on_orin(one("Relu")))
    model = one("Det")
    model.graph.node.append(node("Unique", ["x"], ["u"], name="unique"))
    with pytest.raises(Unsupported) as told:
        readiness.require(on_orin(model))
    assert "2 errors" in told.value.what
    assert "Det-y" in told.value.what
    assert "unique" in told.value.what
    assert "TensorRT 10.3 of JetPack 6.1 to 6.2.2" in told.value.what


def test_a_version_without_a_table_says_whose_was_used() -> None:
    chosen = profiles.load("jetson-orin-nano-8gb")
    release = chosen.releases[-1].model_copy(update={"tensorrt": "11.4.1"})
    found = readiness.check(one("Relu"), chosen, release)
    assert "10.16" in named(found, "table")[0].hint


def test_a_damaged_model_is_no_crash() -> None:
    model = quantized()
    by_name = {tensor.name: tensor for tensor in model.graph.initializer}
    by_name["ws"].dims.append(7)  # more than its bytes hold
    by_name["z"].data_type = 99
    model.graph.node.append(helper.make_node("Conv", [], []))
    found = named(on_orin(model), "type")
    assert "type 99" in found[0].what


def test_models_are_only_read() -> None:
    model = dynamic()
    before = model.SerializeToString(deterministic=True)
    checked(model, "jetson-orin-nx-16gb", "6.2")
    assert model.SerializeToString(deterministic=True) == before
    assert onnx.checker.check_model(model) is None
