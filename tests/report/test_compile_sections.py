"""The compiled bundle's page: what was tried, who loses, where it differs, what it costs."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from report_outline import check, drawings, hostile, words
from yardarm import report
from yardarm.report import figures

Json = dict[str, Any]
TITLES = ["Groups", "What was tried", "Sensitivity", "Difference from fp32", "Operator times"]


@pytest.fixture
def page(searched_manifest: Json, made_statistics: Json, made_explanation: Json) -> str:
    return report.render_compile(searched_manifest, made_statistics, made_explanation)


def test_the_page_is_whole(page: str) -> None:
    check(page)
    assert all(f">{title}<" in page or f">{title} <" in page for title in TITLES)
    assert len(drawings(page)) == 8


def test_bundles_of_before_have_none_of_these_sections(
    made_manifest: Json, made_statistics: Json
) -> None:
    html = report.render_compile(made_manifest, made_statistics)
    check(html)
    assert not [title for title in TITLES if f">{title}" in html]


def test_candidates_are_told_with_what_they_cost_and_lose(page: str) -> None:
    told = words(page)
    assert "The budget is a drop of 0.50 points at most; 3 of 6 candidates meet it." in told
    assert "Taken: 3, four in fp32." in told
    assert "Costs: bytes and multiplications, not measured." in told
    span = f"{figures.MINUS}0.10 to 1.10"
    assert f"3 four in fp32 (taken) yes 0.50 {span} 0.300 MB 80.0 % 0.005 50 int8, 45 fp32" in told
    nothing = figures.MISSING
    assert f"6 given up early no {nothing} {nothing} 0.190 MB 50.0 %" in told


def test_the_chosen_candidate_stands_out_and_the_front_joins_the_best(page: str) -> None:
    (size, cost) = [d for d in drawings(page) if d.attrib["aria-labelledby"].startswith("search")]
    for drawing in (size, cost):
        rows = [g.attrib.get("class", "") for g in drawing.iter("g")]
        assert rows.count("row chosen") == 1
        assert rows.count("row quiet") == 1  # the one that is not on the front
        (front,) = [p.attrib["d"] for p in drawing.iter("path")]
        assert len(re.findall(r"[\d.]+ [\d.]+", front)) == 4
        assert "budget" in [t.text for t in drawing.iter("text")]


def test_twenty_nodes_are_ranked_and_the_rest_summed_up(page: str) -> None:
    (drawing,) = [
        d for d in drawings(page) if d.attrib["aria-labelledby"].startswith("sensitivity")
    ]
    widths = [float(r.attrib["width"]) for r in drawing.iter("rect")]
    assert len(widths) == 20
    assert widths == sorted(widths, reverse=True)
    assert "/block.0/Conv (Conv, int8)" in [text.text for text in drawing.iter("text")]
    assert "the other 10 bring 0 % of all error together" in words(page)
    assert "All by sensitivity (30)" in words(page)


def test_the_gap_between_groups_is_told_before_and_after(
    searched_manifest: Json, made_statistics: Json, page: str
) -> None:
    told = (
        "Largest gap before: 5.00 points (person 0 over person 5); after: 6.00 points "
        "(person 0 over person 5): quantization widened it by 1.00 points."
    )
    assert told in words(page)
    for group in searched_manifest["accuracy"]["groups"]:
        group["after"]["value"] = 0.9
    html = report.render_compile(searched_manifest, made_statistics)
    assert "quantization did not widen it" in words(html)


def test_the_nodes_that_differ_most_come_first(page: str) -> None:
    told = words(page)
    assert "over 500 samples" in told
    assert "Conv_0 Conv 12.0 dB exact 0.90000 Conv_1 Conv 13.0 dB 14.0 dB" in told
    assert "All nodes (40)" in told
    assert "1 node went into another" in told


def test_times_carry_the_mark_of_the_machine_that_they_are_of(
    page: str, searched_manifest: Json, made_statistics: Json, made_explanation: Json
) -> None:
    assert "Int8 is as fast as fp32" in words(page)
    assert page.count('<span class="tag">not the device&#39;s</span>') == 4
    assert page.count("NOT THE DEVICE&#39;S</text>") == 1
    made_explanation["operators"] |= {"where": "times of lab:pi5, emulated", "emulated": True}
    html = report.render_compile(searched_manifest, made_statistics, made_explanation)
    assert html.count('<span class="tag">emulated</span>') == 4
    made_explanation["operators"] |= {"where": "times of pi@kitchen", "emulated": False}
    html = report.render_compile(searched_manifest, made_statistics, made_explanation)
    assert "tag" not in re.findall(r'<section id="operators".*?</section>', html, re.DOTALL)[0]


def test_the_audit_says_whether_calibration_was_enough(
    made_manifest: Json, audited_statistics: Json
) -> None:
    html = report.render_compile(made_manifest, audited_statistics)
    check(html)
    told = words(html)
    assert "200 samples are not enough: the range of conv_0 still moves by 20%." in told
    assert "cut off 0.180 % of the values at most on the last eighth (conv_14)" in told
    assert "3 channels had the same value throughout" in told
    assert "conv_0 40.0 % 30.0 % 20.0 % 0.0400 % conv_1 39.0 %" in told
    assert "relu_1 2 3, 5" in told
    (drawing,) = [d for d in drawings(html) if d.attrib["aria-labelledby"].startswith("audit")]
    assert len(list(drawing.iter("circle"))) == 8
    assert "settled below" in [text.text for text in drawing.iter("text")]


def test_an_axis_of_any_length_is_called_so(made_statistics: Json) -> None:
    inputs = [{"name": "x", "dtype": "float32", "shape": [None, 3, None]}]
    told = words(report.render_compile({"inputs": inputs}, made_statistics))
    assert "x float32 [any, 3, any]" in told


def test_every_form_of_int8_counts_as_int8(made_manifest: Json, made_statistics: Json) -> None:
    manifest = copy.deepcopy(made_manifest)
    for node in manifest["nodes"]:
        node["precision"] = "int8-dynamic" if node["op"] == "Conv" else "fp32"
    told = words(report.render_compile(manifest, made_statistics))
    assert "54 int8-dynamic, 41 fp32 of 95 nodes." in told
    assert "host, int8" in told
    assert "Nodes not in int8 (41)" in told


def test_hostile_names_stay_text(
    searched_manifest: Json, audited_statistics: Json, made_explanation: Json
) -> None:
    worse = (hostile(part) for part in (searched_manifest, audited_statistics, made_explanation))
    check(report.render_compile(*worse))


def spoiled(value: Any, waste: Any) -> Iterator[Any]:
    """Copies of a structure, each with one of its parts replaced by `waste`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield value | {key: waste}
            for worse in spoiled(item, waste):
                yield value | {key: worse}
    elif isinstance(value, list) and value:
        for worse in spoiled(value[0], waste):
            yield [worse, *value[1:]]


@pytest.mark.parametrize("waste", [None, "text", float("nan"), [None]])
def test_no_missing_or_wrong_part_breaks_the_page(
    waste: Any, searched_manifest: Json, audited_statistics: Json, made_explanation: Json
) -> None:
    keys = ("search", "sensitivity", "accuracy")
    few = {key: searched_manifest[key] for key in keys}
    few["sensitivity"] = few["sensitivity"][:2]
    few["accuracy"] = {"metric": "top1", "groups": few["accuracy"]["groups"][:2]}
    told = copy.deepcopy(made_explanation)
    for part in ("difference", "operators"):
        told[part]["nodes"] = told[part]["nodes"][:2]
    for worse in spoiled(few, waste):
        report.render_compile(worse, {}, told)
    held = audited_statistics["audit"]
    held["tensors"] = {name: held["tensors"][name] for name in ("conv_0", "few")}
    for worse in spoiled({"audit": held}, waste):
        report.render_compile({}, worse)
    for worse in spoiled(told, waste):
        report.render_compile(few, {}, worse)


TENSORRT = {
    "version": "8.5",
    "strongly_typed": False,
    "flags": ["fp16", "int8"],
    "float32": ["n1", "n7"],
    "profiles": {"x": {"min": [1, 3], "opt": [2, 3], "max": [8, 3]}},
    "workspace_mb": 512,
    "optimization_level": 3,
}


def test_what_tensorrt_is_told_is_shown_and_what_was_measured_where(
    made_manifest: Json, made_statistics: Json
) -> None:
    manifest = copy.deepcopy(made_manifest) | {"tensorrt": TENSORRT}
    manifest["accuracy"]["measured"] = "with onnxruntime on the host"
    told = words(report.render_compile(manifest, made_statistics))
    assert "Measured with onnxruntime on the host." in told
    assert "host, int8" in told
    assert "host, compiled" in words(
        report.render_compile(manifest | {"target": "tensorrt"}, made_statistics)
    )
    assert "with TensorRT 8.5; no engine was built or run for these figures." in told
    assert "builder flags: fp16, int8; 2 layers stay in float32." in told
    assert "At most 512 MB" in told
    assert "x [1, 3] [2, 3] [8, 3]" in told
    typed = manifest | {"tensorrt": TENSORRT | {"strongly_typed": True}}
    assert "own types are what it computes in" in words(
        report.render_compile(typed, made_statistics)
    )
    assert "TensorRT" not in words(report.render_compile(made_manifest, made_statistics))
