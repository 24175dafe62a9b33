"""What counts as a block and a command in the docs; test_blocks.py then runs those."""

from __future__ import annotations

from pathlib import Path

from docs_blocks import Command, blocks, commands

PAGE = """
Text.

```sh
$ one
output
$ two --a \\
    --b  # exits with 3
```

<!-- not run: needs a real board -->
```sh
$ three
```

A word between undoes the mark.

```toml
x = 1
```
"""


def test_blocks_and_their_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    first, second, third = blocks(page)
    assert (first.language, first.line, first.not_run) == ("sh", 4, "")
    assert second.not_run == "needs a real board"
    assert (third.language, third.text, third.not_run) == ("toml", "x = 1\n", "")


def test_commands_with_their_exit_codes() -> None:
    text = "$ one\noutput\n$ two --a \\\n    --b  # exits with 3\n"
    assert list(commands(text)) == [Command("one", 0), Command("two --a      --b", 3)]
