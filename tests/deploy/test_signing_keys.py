"""Where the signing key comes from, and what is never made in its stead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from yardarm import paths, signing
from yardarm.errors import InvalidInput


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("YARDARM_SIGNING_KEY", raising=False)


def test_the_default_key_is_made_once() -> None:
    first, new = signing.load_or_make()
    again, newer = signing.load_or_make()
    assert new and not newer and first.public == again.public
    assert first.file == paths.config() / "keys" / "release"
    assert first.file.stat().st_mode & 0o777 == 0o600


def test_a_mistyped_key_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = tmp_path / "no-such" / "key"
    monkeypatch.setenv("YARDARM_SIGNING_KEY", str(wanted))
    with pytest.raises(InvalidInput, match="no signing key") as raised:
        signing.load_or_make()
    assert raised.value.where == str(wanted) and "YARDARM_SIGNING_KEY" in raised.value.hint
    assert not wanted.parent.exists()


def test_a_folder_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YARDARM_SIGNING_KEY", str(tmp_path))
    with pytest.raises(InvalidInput) as raised:
        signing.load_or_make()
    assert raised.value.where == str(tmp_path)


def test_two_at_once_make_one_key() -> None:
    code = "from yardarm import signing; print(signing.load_or_make()[0].public)"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    printed = {process.communicate(timeout=60)[0] for process in running}
    assert len(printed) == 1 and printed.pop().startswith("ssh-ed25519 ")
    public = (paths.config() / "keys" / "release.pub").read_text()
    assert public.startswith(signing.load_or_make()[0].public)


def test_without_making_there_may_be_none() -> None:
    assert signing.load() is None
    made, _ = signing.load_or_make()
    found = signing.load()
    assert found is not None and found.public == made.public
