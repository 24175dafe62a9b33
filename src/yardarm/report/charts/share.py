"""A bar that divides a whole: how many nodes run in which precision."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.charts.frame import RIGHT, WIDTH
from yardarm.report.scales import Scale

_LEFT, _TOP, _HEIGHT = 12, 8, 22


def draw(key: str, title: str, parts: Mapping[str, int]) -> Markup:
    """Parts in the order given; their names and counts stand under the bar."""
    whole = sum(parts.values())
    axis = Scale(0, max(whole, 1), _LEFT, RIGHT)
    drawn, begin = [], 0
    for tone, count in enumerate(parts.values()):
        width = max(axis(begin + count) - axis(begin) - 1.5, 0.5)
        drawn.append(svg.rectangle(axis(begin), _TOP, width, _HEIGHT, f"part tone{min(tone, 3)}"))
        begin += count
    said = ", ".join(f"{count} {name}" for name, count in parts.items())
    return svg.picture(key, title, said, (WIDTH, 62), *drawn, *_names(parts))


def _names(parts: Mapping[str, int]) -> list[Markup]:
    x, drawn = float(_LEFT), []
    for tone, (name, count) in enumerate(parts.items()):
        words = f"{name} {count}"
        drawn.append(svg.rectangle(x, 42, 10, 10, f"part tone{min(tone, 3)}"))
        drawn.append(svg.text(x + 15, 51, words, "name"))
        x += 40 + 7.5 * len(words)
    return drawn
