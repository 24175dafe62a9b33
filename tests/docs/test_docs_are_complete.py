"""The docs name every verb and every exit code, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from docs_blocks import prose
from yardarm import errors
from yardarm.cli.app import app

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
VERBS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("verb", VERBS)
def test_the_docs_name_every_verb(verb: str) -> None:
    assert any(f"yardarm {verb}" in page.read_text(encoding="utf-8") for page in PAGES)


def codes() -> dict[int, str]:
    found = {errors.INTERRUPTED: "interrupted", errors.TERMINATED: "terminated"}
    kinds = [errors.YardarmError, *errors.YardarmError.__subclasses__()]
    return found | {k.exit_code: k.__name__ for k in kinds if k.__module__ == errors.__name__}


@pytest.mark.parametrize("code", sorted(codes()))
def test_the_docs_explain_every_exit_code(code: int) -> None:
    text = (REPOSITORY / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    assert re.search(rf"^\|\s*`?{code}`?\s*\|", text, re.MULTILINE)


def test_the_docs_explain_every_variable_of_the_environment() -> None:
    pattern = re.compile(r"""["']((?:YARDARM|XDG)_[A-Z_]+)["']""")
    sources = (REPOSITORY / "src").rglob("*.py")
    read = {name for file in sources for name in pattern.findall(file.read_text())}
    text = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert read and {f"`{name}`" for name in read} <= set(re.findall(r"`[A-Z_]+`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def anchors(file: Path) -> set[str]:
    """The names that headings get where Markdown is shown: lower case, dashes for spaces."""
    headings = re.findall(r"^#+\s+(.+?)\s*$", file.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).lower() for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}
