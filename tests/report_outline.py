"""What tests ask of a report's HTML: `from report_outline import check, words`."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

HOSTILE = (
    "<script>alert(1)</script>|\"'`*_[x](http://evil.example)\x1b[31m\x00\ud800\u202e&amp;{{7*7}}"
)
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Follows the nesting of elements and collects what a test asks about."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def outline(html: str) -> Outline:
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    assert parsed.open == []
    return parsed


def words(html: str) -> str:
    return " ".join(" ".join(outline(html).text).split())


def drawings(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def check(html: str) -> None:
    """What holds for every report, whatever it is about."""
    parsed = outline(html)
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    for tag, attributes in parsed.tags:
        assert not {"src", "href", "xlink:href"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert "url(" not in html
    assert "@import" not in html
    identities = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(identities) == len(set(identities))
    for drawing in drawings(html):
        assert drawing.find("title") is not None
        assert drawing.find("desc") is not None
        assert "nan" not in str(ElementTree.tostring(drawing)).lower()
    html.encode()


def hostile(value: Any) -> Any:
    """The same structure with every text and every key that may be chosen freely hostile."""
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value
