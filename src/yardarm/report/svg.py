"""Inline SVG, as markup that a template may print as it is.

Colours and type come from the page's style sheet by class, so that pictures follow light,
dark and print. Nothing here refers to anything outside of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup, escape

Point = tuple[float, float]


def coordinate(value: float) -> str:
    """A number for an attribute, to a hundredth of a unit.

    Raises:
        ValueError: not finite, so that no broken picture is ever written.
    """
    if not math.isfinite(value):
        raise ValueError(f"not a coordinate: {value}")
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """One element. Children that are not markup are escaped; `class_` is class, `_` is `-`."""
    written = [
        Markup(' {}="{}"').format(
            key.rstrip("_").replace("_", "-"),
            value if isinstance(value, str) else coordinate(value),
        )
        for key, value in attributes.items()
    ]
    body = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, Markup("").join(written), body)


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    return element("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def line(start: Point, end: Point, class_: str) -> Markup:
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def rectangle(x: float, y: float, width: float, height: float, class_: str) -> Markup:
    return element("rect", x=x, y=y, width=width, height=height, class_=class_)


def path(runs: Iterable[Iterable[Point]], class_: str) -> Markup:
    """Open lines through points; each run is drawn apart from the others."""
    return element("path", d="".join(_run(run) for run in runs), class_=class_)


def area(upper: list[Point], lower: list[Point], class_: str) -> Markup:
    """The surface between two lines."""
    return element("path", d=_run([*upper, *reversed(lower)]) + "Z", class_=class_)


def dots(points: Iterable[Point], class_: str) -> Markup:
    """Many dots as one path of zero-length strokes: a tenth of as many circles' bytes."""
    marks = "".join(f"M{coordinate(x)} {coordinate(y)}h0" for x, y in points)
    return element("path", d=marks, class_=class_)


def picture(
    key: str, title: str, description: str, size: tuple[int, int], *children: str, class_: str = ""
) -> Markup:
    """The whole drawing with its accessible name. `key` is unique on the page."""
    return element(
        "svg",
        element("title", title, id=f"{key}-title"),
        element("desc", description, id=f"{key}-desc"),
        *children,
        viewBox=f"0 0 {size[0]} {size[1]}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        class_=f"chart {class_}".strip(),
    )


def _run(points: Iterable[Point]) -> str:
    pairs = [f"{coordinate(x)} {coordinate(y)}" for x, y in points]
    if not pairs:
        return ""
    # A single point has no length; the zero-length stroke makes its round cap visible.
    return f"M{pairs[0]}" + ("L" + " ".join(pairs[1:]) if pairs[1:] else "h0")
