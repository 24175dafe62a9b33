"""Programs that are missing, and folders that are."""

from __future__ import annotations

from pathlib import Path

import pytest

from yardarm import process
from yardarm.process import ProcessFailed


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ProcessFailed, match="no-such-program is not installed"):
        process.run(["no-such-program"])


def test_a_missing_folder_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="folder") as raised:
        process.run(["true"], cwd=tmp_path / "gone")
    assert str(tmp_path / "gone") in str(raised.value) and "not installed" not in str(raised.value)
