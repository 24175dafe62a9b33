"""The two documents: whole, self-contained, harmless, and honest about what they show."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from report_outline import HOSTILE, check, drawings, hostile, outline, words
from yardarm import report
from yardarm.report.render import plain_markdown

Result = dict[str, Any]
Make = Callable[..., Result]


def test_a_report_is_whole_and_self_contained(make_result: Make) -> None:
    html = report.render(make_result()).html
    check(html)
    assert len(drawings(html)) >= 10
    assert "Content-Security-Policy" in html


def test_every_table_has_headings_and_a_caption(make_result: Make) -> None:
    tags = [tag for tag, _ in outline(report.render(make_result()).html).tags]
    assert tags.count("table") == tags.count("caption") == tags.count("thead") > 8


def test_an_emulated_result_says_so_everywhere(make_result: Make) -> None:
    rendered = report.render(make_result(emulated=True))
    assert words(rendered.html).lower().count("emulated: latency is not the device's") == 1
    assert rendered.html.count('<span class="tag">emulated</span>') == 4
    assert rendered.html.count("EMULATED</text>") == 2
    assert "runtime latency, ms (emulated)" in words(rendered.html)
    assert "## Latency (emulated)" in rendered.markdown
    assert re.search(r"\| latency p50 \| \*\*4\.\d+\sms\*\* \(emulated\) \|", rendered.markdown)


def test_a_device_result_is_not_marked(make_result: Make) -> None:
    rendered = report.render(make_result(emulated=False))
    assert 'class="verdict valid"' in rendered.html
    assert "emulated" not in words(rendered.html).lower()
    assert "emulated" not in rendered.markdown.lower()


@pytest.mark.parametrize("mark", ["flag", "verdict", "missing"])
def test_either_mark_of_emulation_is_enough(make_result: Make, mark: str) -> None:
    result = make_result(emulated=False)
    if mark == "flag":
        result["emulated"] = True
    elif mark == "verdict":
        result["verdict"]["status"] = "EMULATED"
    else:
        del result["emulated"]
    assert 'class="verdict emulated"' in report.render(result).html


def test_percentiles_without_enough_samples_say_what_they_need(make_result: Make) -> None:
    rendered = report.render(make_result())
    for text in (words(rendered.html), rendered.markdown):
        assert "needs 662 samples, has 300" in text
        assert "needs 6,636 samples, has 300" in text


def test_a_percentile_said_to_be_unsupported_is_never_shown(make_result: Make) -> None:
    result = make_result()
    result["latency"]["percentiles"]["p99"] = 987_654.0
    rendered = report.render(result)
    assert "988" not in words(rendered.html)
    assert "988" not in rendered.markdown


def test_the_same_result_gives_the_same_bytes(make_result: Make) -> None:
    assert report.render(make_result()) == report.render(make_result())


def test_hostile_text_stays_text(make_result: Make) -> None:
    result = hostile(make_result())
    result["telemetry"]["records"][0]["values"][f"cpu.{HOSTILE}"] = 1.0
    result["latency"]["percentiles"][HOSTILE] = 4000.0
    result["image"]["contents"][HOSTILE] = HOSTILE
    rendered = report.render(result)
    check(rendered.html)
    assert "<script" not in rendered.html + rendered.markdown
    assert "<b>" not in rendered.markdown
    assert not re.search(r"[\x00\x1b\ud800\u202e]", rendered.html + rendered.markdown)
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)!\[", rendered.markdown)
    assert "{{7*7}}" in rendered.html


def test_hostile_text_keeps_markdown_tables_in_shape(make_result: Make) -> None:
    result = hostile(make_result())
    result["device"]["os"] = "Debian | GNU\nLinux \\| x"
    lines = report.render(result).markdown.splitlines()
    for above, line in itertools.pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert _columns(above) == _columns(line), line


def _columns(line: str) -> int:
    return len(re.sub(r"\\.", "", line).split("|"))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a|b", "a\\|b"),
        ("a\n\nb", "a b"),
        ("<b>", "&lt;b&gt;"),
        ("@team", "&#64;team"),
        ("a\\|b", "a\\\\\\|b"),
        (3, "3"),
    ],
)
def test_markdown_is_escaped(given: object, shown: str) -> None:
    assert plain_markdown(given) == shown


@pytest.mark.parametrize("path", [("accuracy",), ("latency",), ("telemetry",), ("bundle",), ()])
@pytest.mark.parametrize("instead", [None, "text", 3, [], {}, float("nan")])
def test_a_broken_result_is_still_rendered(make_result: Make, path: Any, instead: Any) -> None:
    result: Any = make_result()
    if path:
        result[path[0]] = instead
    else:
        result = dict.fromkeys(result, instead)
    check(report.render(result).html)
    report.summary(result)


def test_missing_telemetry_is_named_and_gaps_stay_gaps(make_result: Make) -> None:
    result = make_result()
    html = report.render(result).html
    assert "Collectors that failed" in words(html)
    gap = re.search(
        r'<path d="(M[^"]*)" class="line tone0">', html[html.index("runtime latency") :]
    )
    assert gap is not None
    assert gap[1].count("M") == 2
    result["telemetry"] = {"records": []}
    assert "No telemetry was recorded." in words(report.render(result).html)


def test_counts_are_integers_and_idle_readings_one_sentence(make_result: Make) -> None:
    result = make_result()
    for at, record in enumerate(result["telemetry"]["records"]):
        record["values"] |= {
            "disk.free_inodes": 16_340_000.0 + at,
            "bench.requests": 50 + at % 2,
            "runtime.errors": 0,
            "runtime.restarts": 0.0,
        }
    shown = report.render(result).markdown
    row = next(line for line in shown.splitlines() if "free inodes" in line)
    assert "16,340,000 | 16,340,119 | 16,340,119" in row
    assert "50 | 51 | 51" in next(line for line in shown.splitlines() if "bench requests" in line)
    assert "Zero throughout: runtime errors, runtime restarts." in shown
    assert not [line for line in shown.splitlines() if line.startswith("| runtime errors")]


def test_what_is_the_hosts_is_marked(make_result: Make) -> None:
    marked = ("memory used, MB", "disk free, MB", "| memory, MB", "| free disk, MB")
    marked += ("memory.available", "cpu, %", "| load")
    for emulated in (True, False):
        lines = report.render(make_result(emulated=emulated)).markdown.splitlines()
        for name in marked:
            found = [line for line in lines if name in line.replace("\\", "")]
            assert found, name
            assert all(("emulated: the host's" in line) == emulated for line in found), name


def test_a_hundred_thousand_samples_stay_small(make_result: Make, make_durations: Any) -> None:
    result = make_result(samples=make_durations(100_000), seconds=5_000)
    html = report.render(result).html
    check(html)
    assert len(html.encode()) < 300_000
    assert "p99.9" in html


@pytest.mark.parametrize("samples", [[], [5.0], [0.0], [4000.0] * 300, [1e-3, 1e14]])
def test_odd_numbers_of_samples(make_result: Make, samples: list[float]) -> None:
    html = report.render(make_result(samples=samples)).html
    check(html)
    assert ("No timed samples." in html) == (not samples)


def test_samples_without_a_start_each_are_numbered(make_result: Make) -> None:
    result = make_result()
    assert ">seconds since the start</text>" in report.render(result).html
    result["latency"]["starts_s"].pop()
    assert ">sample</text>" in report.render(result).html


def test_the_environment_shows_what_was_read_and_nothing_else(make_result: Make) -> None:
    said = report.render(make_result()).markdown
    assert "| temperatures\\_c.thermal\\_zone0 cpu-thermal | 48.2 | 80.7 |" in said
    assert "| load (emulated: the host's) | 0.2, 0.3, 0.1 | 1.1, 0.3, 0.1 |" in said
    assert "clocks" not in said
    assert "throttled" not in said
    assert "1764000" not in said


def test_digests_are_short_with_the_whole_at_hand(make_result: Make) -> None:
    result = make_result()
    full = result["lineage"]["bundle"]
    html = report.render(result).html
    assert f'<code title="{full}">{"b" * 12}</code>' in html
    assert full in report.render(result).markdown


def test_a_compiled_bundle_has_its_own_page(made_manifest: Result, made_statistics: Result) -> None:
    html = report.render_compile(made_manifest, made_statistics)
    check(html)
    said = words(html)
    for expected in (
        "95.6\xa0%",
        "conv_59",
        "per_channel",
        "0.214\xa0MB",
        "83 int8, 12 fp32 of 95",
    ):
        assert " ".join(expected.split()) in said
    assert "mulated" not in said


def test_hostile_bundles_stay_text(made_manifest: Result, made_statistics: Result) -> None:
    statistics = copy.deepcopy(made_statistics)
    statistics["tensors"][HOSTILE] = {"low": float("nan"), "high": None}
    html = report.render_compile(hostile(made_manifest), statistics)
    check(html)
    assert "<script" not in html


def test_very_long_tables_are_cut_and_say_so(made_manifest: Result) -> None:
    manifest = made_manifest | {
        "nodes": [{"name": f"n{n}", "op": "Add", "precision": "fp32"} for n in range(20_000)]
    }
    html = report.render_compile(manifest, {})
    assert "… and 19700 more" in html
    assert len(html.encode()) < 300_000
