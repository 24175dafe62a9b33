"""Charts and scales over any data: finite, inside of the picture, in order."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from yardarm.report import bins, figures, scales, svg
from yardarm.report.charts import distribution, estimates, frame, series, share, small

DURATIONS = st.lists(st.floats(0, 1e15), min_size=1, max_size=60)
VALUES = st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=60)


def inside(drawn: Markup) -> None:
    """Every coordinate is a number within the picture's box."""
    root = ElementTree.fromstring(drawn)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for part in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert -1 <= float(part.get(name, 0)) <= width + 1
        for name in ("y", "y1", "y2", "cy"):
            assert -1 <= float(part.get(name, 0)) <= height + 1
        for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", part.get("d", "")):
            assert -1 <= float(x) <= width + 1
            assert -1 <= float(y) <= height + 1
        for name in ("width", "height"):
            assert float(part.get(name, 0)) >= 0


@settings(max_examples=60, deadline=None)
@given(DURATIONS, st.booleans())
def test_latency_pictures(samples: list[float], emulated: bool) -> None:
    unit = figures.duration(samples[0])
    marks = {"p50": min(samples), "p90": max(samples), "p95": max(samples), "p99.9": samples[0]}
    inside(distribution.draw("d", samples, marks, unit, emulated=emulated))
    inside(series.draw("s", None, samples, unit, emulated=emulated))
    inside(series.draw("s", [-value for value in samples], samples, unit, emulated=emulated))


@settings(max_examples=60, deadline=None)
@given(VALUES, st.floats(1, 1e9))
def test_small_multiples(values: list[float], length: float) -> None:
    points = [(length * n / len(values), value) for n, value in enumerate(values)]
    gap = [*points[:3], (points[-1][0], None), *points[3:]]
    inside(small.draw("t", "reading", [small.Line("a", gap)], figures.Unit(""), length))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=1, max_size=4))
def test_estimates(rows: list[tuple[float, float, float]]) -> None:
    drawn = [estimates.Row(f"row {n}", *row) for n, row in enumerate(rows)]
    inside(estimates.draw("e", "mse", drawn, figures.SCORE))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_shares_never_leave_the_whole(value: float) -> None:
    drawn = estimates.draw("e", "top1", [estimates.Row("a", value, value, value)], figures.PERCENT)
    inside(drawn)
    shown = [float(t) for t in re.findall(r'class="tick" [^>]*>([\d.]+)<', drawn)]
    assert shown
    assert 0 <= min(shown) <= max(shown) <= 100


def test_share_bar_divides_the_whole() -> None:
    drawn = share.draw("n", "nodes", {"int8": 30, "fp32": 10})
    inside(drawn)
    widths = [float(w) for w in re.findall(r'y="8" width="([\d.]+)"', drawn)]
    assert widths[0] / widths[1] == pytest.approx(3, rel=0.05)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_scales_keep_the_order_and_ticks_are_inside(values: list[float]) -> None:
    for axis in (
        scales.linear(values, 0, 100, margin=0.05),
        scales.linear(values, 0, 100, zero=True),
        scales.spread([abs(value) for value in values], 0, 100),
    ):
        placed = [axis(value) for value in sorted(map(abs, values))]
        assert placed == sorted(placed)
        assert all(0 <= place <= 100 for place in placed)
        ticks = axis.ticks()
        assert len(ticks) <= 7
        slack = (axis.high - axis.low) * 1e-6
        assert all(axis.low - slack <= tick <= axis.high + slack for tick in ticks)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=300))
def test_a_histogram_counts_every_sample_once(samples: list[float]) -> None:
    counts, edges = bins.histogram(samples, scales.spread(samples, 50, 400))
    assert sum(counts) == len(samples)
    assert len(edges) == len(counts) + 1 <= bins.MOST_BINS + 1
    assert edges == sorted(edges)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), max_size=500), st.integers(1, 50))
def test_buckets_lose_no_extreme(values: list[float], most: int) -> None:
    grouped = bins.buckets([float(n) for n in range(len(values))], values, most)
    assert len(grouped) == min(most, len(values))
    assert min((b.low for b in grouped), default=None) == min(values, default=None)
    assert max((b.high for b in grouped), default=None) == max(values, default=None)


def test_a_heavy_tail_is_drawn_logarithmically() -> None:
    assert scales.spread([100.0] * 50 + [5000.0], 0, 1).log
    assert not scales.spread([100.0] * 50 + [150.0], 0, 1).log
    assert not scales.spread([0.0, *[100.0] * 50, 5000.0], 0, 1).log


@pytest.mark.parametrize("low", [0.9, 3.0, 17.0])
@pytest.mark.parametrize("times", [4.0, 40.0, 4e3, 4e9])
def test_logarithmic_ticks_are_few_and_there(low: float, times: float) -> None:
    assert 2 <= len(scales.Scale(low, low * times, 0, 1, log=True).ticks()) <= 7


def test_a_coordinate_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        svg.coordinate(float("nan"))
    assert svg.coordinate(-0.0001) == "0"
    assert svg.coordinate(12.50) == "12.5"


def test_text_in_pictures_is_escaped() -> None:
    drawn = svg.picture("k", "<b>", '"&', (1, 1), svg.text(0, 0, "</svg><script>"))
    assert "<script" not in drawn
    assert ElementTree.fromstring(drawn)[2].text == "</svg><script>"


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 0.5, 1.0], ["0.0", "0.5", "1.0"]), ([2000, 4000], ["2,000", "4,000"]), ([], [])],
)
def test_ticks_share_their_decimals(values: list[float], expected: list[str]) -> None:
    assert figures.Unit("").ticks(values) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (-0.0002, figures.MINUS + "0.000200"),
        (1234.5, "1,234"),
        (0.004, "0.00400"),
        (3e9, "3.00e+09"),
        (None, figures.MISSING),
    ],
)
def test_plain_figures(value: float | None, expected: str) -> None:
    assert figures.plain(value) == expected


def test_percentile_names_keep_apart() -> None:
    marks = {"p90": 100.0, "p95": 100.1, "p97": 100.2, "p99": 100.3}
    drawn = distribution.draw(
        "d", [50.0, 100.0, 150.0], marks, figures.MICROSECONDS, emulated=False
    )
    rows = re.findall(r'y="([\d.]+)" class="tick strong"', drawn)
    assert len(rows) == len(set(rows)) == 3
    assert drawn.count('class="percentile"') == 4
    assert frame.EMULATED not in drawn
