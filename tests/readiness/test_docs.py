"""docs/readiness.md has every rule as the code has it."""

from __future__ import annotations

from pathlib import Path

from yardarm.compile.readiness import RULES, tables


def rows(page: str) -> list[list[str]]:
    """The cells of the lines of its tables."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_rules_are_told_as_they_are(repository: Path) -> None:
    page = (repository / "docs" / "readiness.md").read_text(encoding="utf-8")
    expected = [
        [f"`{rule.id}`", ", ".join(rule.severities), rule.says, rule.mark, rule.source]
        for rule in RULES
    ]
    assert rows(page) == expected
    others = ("dla", "oracle", "onnxruntime", "table")
    assert all(f"`{name}`" in page for name in others)


def test_the_versions_are_told(repository: Path) -> None:
    page = (repository / "docs" / "readiness.md").read_text(encoding="utf-8")
    assert all(f"{major}.{minor}" in page for major, minor in tables.versions())
