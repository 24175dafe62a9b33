"""Records kept on this machine: none lost, none twice, whatever broke in between."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_a_summary_has_each_value() -> None:
    found = summarise([record(1, a=1.0, b=5.0), record(2, a=3.0)])
    assert [
        (item.name, item.records, item.last, item.low, item.mean, item.high) for item in found
    ] == [
        ("a", 2, 3.0, 1.0, 2.0, 3.0),
        ("b", 1, 5.0, 5.0, 5.0, 5.0),
    ]
