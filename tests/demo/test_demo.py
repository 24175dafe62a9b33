"""`scripts/demo` where there is no root and no font: the rest is done, and it says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = "cat pyproject.toml scripts/constraints.txt scripts/setup | sha256sum >.venv/.setup-demo"
WITHOUT_FONTS = 'mount -t tmpfs none /usr/share/fonts && exec "$@"'


@pytest.fixture
def checkout(repository: Path, example: Path, tmp_path: Path) -> Path:
    """A checkout that was set up, and whose model was fetched; nothing was drawn in it yet."""
    copy = tmp_path / "checkout"
    for folder in ("scripts", "examples"):
        left_out = shutil.ignore_patterns(".yardarm", "data")
        shutil.copytree(repository / folder, copy / folder, ignore=left_out)
    shutil.copy(repository / "pyproject.toml", copy)
    environment = copy / ".venv"
    (environment / "bin").mkdir(parents=True)
    for name in ("lib", "pyvenv.cfg", "bin/python", "bin/yardarm"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    subprocess.run(["bash", "-c", SETUP], cwd=copy, check=True, timeout=10)
    return copy


@pytest.fixture
def someone(tmp_path: Path) -> str:
    """A PATH on which one is not root."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


def test_the_demo_does_what_it_can(checkout: Path, someone: str) -> None:
    # Only root can take away the fonts, and for this process alone.
    bare = ["unshare", "--mount", "sh", "-c", WITHOUT_FONTS, "sh"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*bare, checkout / "scripts" / "demo"],
        env=os.environ | {"PATH": someone},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out, because it needs root; so are image, deploy and bench" in done.stdout
    if bare:
        assert "Pillow's own font; figures differ" in done.stdout
    report = checkout / "examples" / "text-angle" / ".yardarm" / "compiled" / "report.html"
    assert "<svg" in report.read_text()
