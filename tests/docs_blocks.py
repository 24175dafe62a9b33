"""The code blocks of a Markdown file, and whether they are meant to run.

In a block marked `sh`, lines that begin with `$ ` are commands, and what follows them shows
their output. `# exits with N` at a command's end tells its exit code; without it, 0.
A comment `<!-- not run: why -->` right before a block takes it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_EXIT = re.compile(r"\s+#.*\bexits with (\d+)\s*$")
_NOT_RUN = re.compile(r"<!--\s*not run:\s*(?P<why>.+?)\s*-->")


@dataclass(frozen=True)
class Block:
    """`line` is where its fence stands; `not_run` says why it is left out, "": it isn't."""

    file: Path
    line: int
    language: str
    text: str
    not_run: str


@dataclass(frozen=True)
class Command:
    """A shell command and the exit code that it is said to end with."""

    text: str
    code: int


def blocks(file: Path) -> Iterator[Block]:
    lines = file.read_text(encoding="utf-8").splitlines()
    before, at = "", 0
    while at < len(lines):
        if not lines[at].startswith("```"):
            before = lines[at] if lines[at].strip() else before
            at += 1
            continue
        end = next(n for n in range(at + 1, len(lines)) if lines[n].startswith("```"))
        mark = _NOT_RUN.fullmatch(before.strip())
        text = "\n".join(lines[at + 1 : end]) + "\n"
        yield Block(file, at + 1, lines[at][3:].strip(), text, mark["why"] if mark else "")
        before, at = "", end + 1


def commands(text: str) -> Iterator[Command]:
    """Commands may go on over lines that end with a backslash."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        if line.startswith("$ "):
            code = _EXIT.search(line)
            yield Command(_EXIT.sub("", line[2:]), int(code[1]) if code else 0)


def prose(file: Path) -> str:
    """The file without its fenced blocks and inline code."""
    text = re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)
