"""Records kept on this machine: none lost, none twice, whatever broke in between."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm.telemetry import Archive, summarise


def record(number: int, **values: float) -> dict[str, object]:
    return {"seq": number, "t": 1000.0 + number, "values": values, "collectors": {}}


def numbers(archive: Archive) -> list[int]:
    lines = [line for line in archive.file.read_text().splitlines() if line]
    return [json.loads(line)["seq"] for line in lines]


def test_a_repeated_batch_is_kept_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "lab:pi5", "ab12")
    archive.append([record(1), record(2)])
    archive.append([record(1), record(2), record(3)])
    assert numbers(archive) == [1, 2, 3]
    assert archive.last() == 3


def test_spools_and_hosts_have_files_of_their_own(tmp_path: Path) -> None:
    names = {
        Archive(tmp_path, host, spool).file.name
        for host, spool in [("lab:a", "1"), ("lab:b", "1"), ("lab:a", "2"), ("../a/b", "1")]
    }
    assert len(names) == 4
    assert all("/" not in name and not name.startswith("..") for name in names)


@given(cut=st.integers(min_value=0))
def test_a_torn_last_line_loses_nothing_else(tmp_path_factory: object, cut: int) -> None:
    folder = tmp_path_factory.mktemp("archive")  # type: ignore[attr-defined]
    archive = Archive(folder, "host", "spool")
    archive.append([record(1), record(2)])
    whole = archive.file.read_bytes()
    first = whole.index(b"\n") + 1
    archive.file.write_bytes(whole[: first + cut % (len(whole) - first)])
    archive.append([record(2), record(3)])
    kept = []
    for line in archive.file.read_bytes().splitlines():
        try:
            kept.append(json.loads(line)["seq"])
        except ValueError:
            continue
    assert kept == [1, 2, 3]


APPEND = """
import pathlib, sys
from yardarm.telemetry import Archive
archive = Archive(pathlib.Path(sys.argv[1]), "host", "spool")
print("ready", flush=True)
sys.stdin.readline()
for number in range(1, 200):
    archive.append([{"seq": n} for n in range(number, number + 3)])
"""


def test_two_pulls_at_once_keep_each_record_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", APPEND, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    pulls = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for pull in pulls:
        pull.stdout.readline()
    for pull in pulls:
        pull.stdin.write(b"go\n")
        pull.stdin.flush()
    for pull in pulls:
        pull.communicate(timeout=60)
        assert pull.returncode == 0
    assert numbers(Archive(tmp_path, "host", "spool")) == list(range(1, 202))


def test_a_new_file_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    Archive(tmp_path, "host", "spool").append([record(1)])
    assert synced == ["file", "folder"]


def test_records_are_read_again_from_where_one_was(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "host", "spool")
    assert archive.after(0) == []
    archive.append([record(1), record(2), record(3)])
    with archive.file.open("ab") as stream:
        stream.write(b'{"seq":4,"t"')
    assert [item["seq"] for item in archive.after(1)] == [2, 3]


def test_a_summary_has_each_value() -> None:
    found = summarise([record(1, a=1.0, b=5.0), record(2, a=3.0)])
    assert [
        (item.name, item.records, item.last, item.low, item.mean, item.high) for item in found
    ] == [
        ("a", 2, 3.0, 1.0, 2.0, 3.0),
        ("b", 1, 5.0, 5.0, 5.0, 5.0),
    ]
