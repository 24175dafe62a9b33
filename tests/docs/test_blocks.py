"""Every block of README.md and docs/ does what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from docs_blocks import Block, blocks, commands
from yardarm import project

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
EXAMPLE = Path("examples/text-angle")
NOT_RUN_AT_MOST = 8
LINES = 400


def named(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def to_run(page: Path, *languages: str) -> list[Block]:
    return [b for b in blocks(page) if b.language in languages and not b.not_run]


def on_a_device(page: Path) -> bool:
    return any("lab:" in b.text or "yardarm lab" in b.text for b in to_run(page, "sh", "python"))


def runnable() -> list[object]:
    return [
        pytest.param(page, id=named(page), marks=[pytest.mark.root] if on_a_device(page) else [])
        for page in PAGES
        if to_run(page, "sh", "python")
    ]


@pytest.fixture
def folder(example: Path, tmp_path: Path) -> Iterator[Path]:
    """What a reader has: a checkout's root, `yardarm` on the path, and no device yet."""
    shutil.copytree(example, tmp_path / EXAMPLE, ignore=shutil.ignore_patterns(".yardarm"))
    shorten(tmp_path / EXAMPLE / "data" / "evaluation.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YARDARM_LAB", str(tmp_path / "lab"))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        patch.setenv("COLUMNS", "100")
        yield tmp_path
        if (tmp_path / "lab").exists():
            subprocess.run(["yardarm", "lab", "down", "--all"], check=True, timeout=120)


def shorten(file: Path) -> None:
    """So many lines can decide on the example's budget; emulation takes its time for each."""
    with np.load(file) as archive:
        arrays = {name: archive[name][:LINES] for name in archive.files}
    np.savez_compressed(file, **arrays)


@pytest.mark.parametrize("page", runnable())
def test_the_commands_of_a_page_run(page: Path, folder: Path) -> None:
    for block in to_run(page, "sh", "python"):
        where = f"{named(page)}:{block.line}"
        if block.language == "python":
            execute(["python", "-c", block.text], folder, 0, where)
            continue
        for command in commands(block.text):
            shell = ["bash", "-euo", "pipefail", "-c", command.text]
            execute(shell, folder, command.code, f"{where}: {command.text}")


def execute(argv: list[str], folder: Path, code: int, where: str) -> None:
    done = subprocess.run(
        argv,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == code, f"{where}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_shell_block_has_commands(page: Path) -> None:
    empty = [b.line for b in to_run(page, "sh") if not list(commands(b.text))]
    assert not empty, "begin commands with `$ `, or mark the block as text"
    assert not [b.line for b in blocks(page) if b.language in ("bash", "shell", "console")]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_data_blocks_are_valid(page: Path, tmp_path: Path) -> None:
    for block in to_run(page, "json"):
        json.loads(block.text)
    for block in to_run(page, "toml"):
        if "model" in tomllib.loads(block.text):
            file = tmp_path / "yardarm.toml"
            file.write_text(block.text)
            project.load(file)


def test_few_blocks_are_left_out_and_each_says_why() -> None:
    left_out = [block for page in PAGES for block in blocks(page) if block.not_run]
    assert len(left_out) <= NOT_RUN_AT_MOST
    assert all(len(block.not_run.split()) >= 3 for block in left_out)
