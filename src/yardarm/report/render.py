"""From pages to text: HTML with everything escaped by default, Markdown likewise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from yardarm.report import pages
from yardarm.report.page import Page


@dataclass(frozen=True)
class Rendered:
    """`html` needs no network and no script; `markdown` says the same in brief."""

    html: str
    markdown: str


def render(result: Mapping[str, Any]) -> Rendered:
    """The report of a `yardarm.result/1`. Missing parts are left out or named as missing."""
    page = pages.of_result(result)
    return Rendered(_html(page), _markdown(page))


def render_compile(
    manifest: Mapping[str, Any],
    statistics: Mapping[str, Any],
    explanation: Mapping[str, Any] | None = None,
) -> str:
    """The HTML report of a bundle's manifest and calibration statistics.

    Args:
        explanation: `difference` and `operators`, as `yardarm compile --explain --json` has
            them; their sections are left out without it.
    """
    return _html(pages.of_bundle(manifest, statistics, explanation or {}))


def _html(page: Page) -> str:
    return _environment(html=True).get_template("report.html.j2").render(page=page)


def _markdown(page: Page) -> str:
    drawn = _environment(html=False).get_template("report.md.j2").render(page=page)
    return re.sub(r"\n{3,}", "\n\n", drawn).strip() + "\n"


@cache
def _environment(*, html: bool) -> Environment:
    return Environment(
        loader=PackageLoader("yardarm.report", "templates"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Markdown has no autoescape: every value that a template prints goes through this.
        finalize=None if html else plain_markdown,
    )


_SPECIAL = re.compile(r"([\\`*_\[\]|~#!])")


def plain_markdown(value: object) -> str:
    """Text that Markdown shows as it is, on one line: no tag, link, table cell or mention."""
    words = re.sub(r"\s*[\r\n\t]\s*", " ", str(value))
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", words).replace("@", "&#64;").replace("://", "&#58;//")
