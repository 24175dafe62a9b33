"""Durable writes: at every point of failure or power cut there is the old file or the new."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from yardarm_wire.files import Files

OLD, NEW = b"old bytes", b"new bytes, and more of them"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


class Cut(BaseException):
    """The power went."""


class Failing(Files):
    """Fails at its n-th operation, before or after that was done."""

    def __init__(self, at: int, *, after: bool, error: BaseException) -> None:
        self.operations: list[str] = []
        self._at = at
        self._after = after
        self._error = error

    def _step(self, name: str) -> Iterator[None]:
        self.operations.append(name)
        mine = len(self.operations) == self._at
        if mine and not self._after:
            raise self._error
        yield
        if mine:
            raise self._error

    def sync(self, descriptor: int) -> None:
        for _ in self._step("sync"):
            super().sync(descriptor)

    def rename(self, source: str, target: str) -> None:
        for _ in self._step("rename"):
            super().rename(source, target)

    def sync_folder(self, folder: str) -> None:
        for _ in self._step("sync folder"):
            super().sync_folder(folder)


def every_failure(error: BaseException) -> Iterator[Failing]:
    for at in (1, 2, 3):
        for after in (False, True):
            yield Failing(at, after=after, error=error)


def test_a_write_syncs_the_file_renames_and_syncs_the_folder(tmp_path: Path) -> None:
    files = Failing(0, after=False, error=Cut())
    files.write(str(tmp_path / "file"), NEW)
    assert files.operations == ["sync", "rename", "sync folder"]
    assert (tmp_path / "file").read_bytes() == NEW


@pytest.mark.parametrize("error", [OSError(28, "no space"), Cut()], ids=["full", "cut"])
def test_a_failed_write_leaves_old_or_new_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    for files in every_failure(error):
        path = tmp_path / "file"
        path.write_bytes(OLD)
        with pytest.raises(type(error)):
            files.write(str(path), NEW)
        renamed = "sync folder" in files.operations
        assert path.read_bytes() == (NEW if renamed else OLD)
        assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError(28, "no space"), Cut()], ids=["full", "cut"])
def test_a_failed_link_leads_to_old_or_new_and_leaves_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "current"
    for files in every_failure(error):
        Files().link("old", str(path))
        try:
            files.link("new", str(path))
        except type(error):
            pass
        assert path.readlink() in (Path("old"), Path("new"))
        assert names(tmp_path) == ["current"]


class Recorder(Files):
    """Keeps what a disk would hold: bytes count when synced, names when their folder was."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str, str]] = []
        self.synced: dict[int, bytes] = {}

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        state = os.fstat(descriptor)
        self.synced[state.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()
        self.log.append(("sync", str(state.st_ino), ""))

    def rename(self, source: str, target: str) -> None:
        self.log.append(("rename", str(Path(source).stat().st_ino), target))
        super().rename(source, target)


def test_at_every_power_cut_the_name_leads_to_whole_old_or_new_bytes(tmp_path: Path) -> None:
    """The rename may reach the disk at once or never, until the folder is synced: in each
    crash state the name leads to an inode whose bytes were synced before."""
    path = tmp_path / "file"
    path.write_bytes(OLD)
    disk = Recorder()
    disk.write(str(path), NEW)
    states = 0
    for cut in range(len(disk.log) + 1):
        done = disk.log[:cut]
        renames = [entry for entry in done if entry[0] == "rename"]
        for flushed in range(len(renames) + 1):
            states += 1
            held = OLD
            if flushed:
                number = int(renames[flushed - 1][1])
                assert ("sync", str(number), "") in done[: done.index(renames[flushed - 1])]
                held = disk.synced[number]
            assert held in (OLD, NEW)
    assert states == 4


def test_mode_and_replaced_link(tmp_path: Path) -> None:
    Files().write(str(tmp_path / "secret"), b"x", 0o600)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    Files().link("a", str(tmp_path / "link"))
    (tmp_path / f"link.partial-{os.getpid()}").symlink_to("left over")
    Files().link("b", str(tmp_path / "link"))
    assert (tmp_path / "link").readlink() == Path("b")
    assert names(tmp_path) == ["link", "secret"]


def test_a_relative_path_is_taken_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Files().write("file", NEW)
    assert Path("file").read_bytes() == NEW


def test_a_folder_of_many_files_is_synced_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Failing(0, after=False, error=Cut())
    monkeypatch.setattr(os, "sync", lambda: files.operations.append("sync everything"))
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "file").write_bytes(NEW)
    files.rename_tree(str(tmp_path / "staging"), str(tmp_path / "done"))
    assert files.operations == ["sync everything", "rename", "sync folder"]
    assert names(tmp_path / "done") == ["file"]
