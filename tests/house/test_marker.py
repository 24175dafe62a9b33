"""Tests that need root: skipped with a reason elsewhere, and failed in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NEEDS_ROOT = "import pytest\n\n@pytest.mark.root\ndef test_it():\n    pass\n"


@pytest.mark.parametrize(
    ("ci", "outcome"), [({}, "1 skipped"), ({"CI": "true"}, "CI skips nothing")]
)
def test_the_root_marker(
    tmp_path: Path, repository: Path, ci: dict[str, str], outcome: str
) -> None:
    shutil.copy(repository / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(NEEDS_ROOT)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider"),
            *("-o", f"pythonpath={repository / 'tests'}", str(tmp_path)),
        ],
        cwd=tmp_path,
        env={**environment, **ci, "PATH": str(tmp_path)},  # as on a machine without the tools
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome in done.stdout
    assert done.returncode == (1 if ci else 0)
    assert "mmdebstrap" in done.stdout or "needs root" in done.stdout
