"""What the pictures share: their size, their axes, the mark of an emulated figure."""

from __future__ import annotations

from markupsafe import Markup

from yardarm.report import svg
from yardarm.report.figures import Unit
from yardarm.report.scales import Scale

# Small enough that a phone shows the text at a readable size without a second drawing.
WIDTH, HEIGHT = 440, 230
LEFT, RIGHT, TOP, BOTTOM = 50, 428, 34, 190
EMULATED = "emulated"
HOSTS = "emulated: the host's"
"""What a virtual device reads where it has nothing of its own: its host's memory, disk, load."""


def horizontal(axis: Scale, label: str, unit: Unit, bottom: float = BOTTOM) -> Markup:
    """Ticks and the label under the picture."""
    parts = [svg.line((axis.start, bottom), (axis.end, bottom), "axis")]
    ticks = axis.ticks()
    for tick, words in zip(ticks, unit.ticks(ticks), strict=True):
        x = axis(tick)
        parts.append(svg.line((x, bottom), (x, bottom + 4), "axis"))
        parts.append(svg.text(x, bottom + 18, words, "tick", "middle"))
    middle = (axis.start + axis.end) / 2
    parts.append(svg.text(middle, bottom + 36, label, "label", "middle"))
    return Markup("").join(parts)


def vertical(axis: Scale, label: str, unit: Unit, most: int = 5) -> Markup:
    """Grid lines with their values at the left, the label above them."""
    parts = []
    ticks = axis.ticks(most)
    for tick, words in zip(ticks, unit.ticks(ticks), strict=True):
        y = axis(tick)
        parts.append(svg.line((LEFT, y), (RIGHT, y), "grid"))
        parts.append(svg.text(LEFT - 6, y + 4, words, "tick", "end"))
    parts.append(svg.text(4, 14, label, "label"))
    return Markup("").join(parts)


def mark(emulated: bool) -> Markup:
    """A tag inside the picture, so that it keeps its warning when it is cut out."""
    return svg.text(RIGHT, 14, EMULATED.upper(), "mark", "end") if emulated else Markup("")
