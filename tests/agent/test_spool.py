"""The spool: nothing acknowledged comes back, nothing else is lost but what the quota costs."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from yardarm_agent import spool as module
from yardarm_agent.spool import MAX_RECORD

OPENED: list[module.Spool] = []


class Spool(module.Spool):
    """Closed when its test is over."""

    def __init__(self, *arguments: Any, **sizes: int) -> None:
        super().__init__(*arguments, **sizes)
        OPENED.append(self)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def numbers(spool: Spool, limit: int = 10_000) -> list[int]:
    return [record["seq"] for record in spool.read(limit)]


def filled(folder: Path, count: int, **sizes: int) -> Spool:
    spool = Spool(str(folder), **sizes)
    for value in range(count):
        spool.append({"value": value})
    return spool


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.seg"))


def test_records_are_numbered_and_read_oldest_first(tmp_path: Path) -> None:
    spool = filled(tmp_path, 3)
    assert spool.read(10) == [{"value": n, "seq": n + 1} for n in range(3)]
    assert numbers(spool, 2) == [1, 2]


def test_what_is_acknowledged_never_comes_back(tmp_path: Path) -> None:
    spool = filled(tmp_path, 100, segment=500)
    before = len(segments(tmp_path))
    assert spool.acknowledge(50) > 0
    assert len(segments(tmp_path)) < before
    assert numbers(spool) == list(range(51, 101))
    spool.acknowledge(7)
    assert numbers(spool) == list(range(51, 101)), "an older number takes nothing back"
    spool.close()
    assert numbers(Spool(str(tmp_path))) == list(range(51, 101))


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    again = Spool(str(tmp_path))
    assert again.append({}) == 4
    again.acknowledge(4)
    for file in segments(tmp_path):
        file.unlink()
    assert Spool(str(tmp_path)).append({}) == 5


def test_nothing_can_be_acknowledged_ahead(tmp_path: Path) -> None:
    spool = filled(tmp_path, 3)
    spool.acknowledge(1_000_000)
    assert spool.acknowledged() == 3
    assert spool.append({}) == 4
    assert numbers(spool) == [4]


def test_a_tail_torn_at_any_byte_costs_only_its_record(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    filled(whole, 3).close()
    data = segments(whole)[0].read_bytes()
    record = len(data) // 3
    for size in range(len(data)):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / segments(whole)[0].name).write_bytes(data[:size])
        kept = list(range(1, size // record + 1))
        spool = Spool(str(folder))
        assert numbers(spool) == kept
        new = spool.append({"value": "new"})
        assert new > (kept or [0])[-1]
        assert numbers(spool) == [*kept, new]
        spool.close()


def test_zeros_that_a_power_cut_left_are_no_records(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    with segments(tmp_path)[0].open("ab") as stream:
        stream.write(bytes(4096))
    spool = Spool(str(tmp_path))
    assert numbers(spool) == [1, 2]
    spool.append({})
    assert len(numbers(spool)) == 3
    spool.close()
    assert segments(tmp_path)[0].stat().st_size < 100


def test_a_damaged_record_hides_its_segment_and_no_other(tmp_path: Path) -> None:
    spool = filled(tmp_path, 60, segment=500)
    spool.close()
    first, second = segments(tmp_path)[:2]
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    left = numbers(Spool(str(tmp_path)))
    assert left[0] == 1 and left[-1] == 60
    gap = set(range(1, 61)) - set(left)
    assert gap and max(gap) < int(second.stem)


def test_no_number_is_given_twice_after_damage(tmp_path: Path) -> None:
    """A host that has seen 1 to 9 would take a new 5 for the one that it knows."""
    spool = filled(tmp_path, 9)
    assert numbers(spool)[-1] == 9
    spool.close()
    file = segments(tmp_path)[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert Spool(str(tmp_path)).append({}) > 9


def test_the_quota_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = filled(tmp_path, 400, quota=4000, segment=500)
    held = numbers(spool)
    assert sum(file.stat().st_size for file in segments(tmp_path)) <= 4000
    assert held == list(range(held[0], 401))
    assert spool.dropped() == held[0] - 1 > 0


def test_dropped_counts_only_what_was_not_acknowledged(tmp_path: Path) -> None:
    spool = filled(tmp_path, 15, quota=2000, segment=10_000)
    spool.acknowledge(10)
    spool.close()
    filled(tmp_path, 1, quota=2000, segment=10_000)
    assert spool.dropped() == 5


def test_a_spool_has_a_name_that_stays(tmp_path: Path) -> None:
    name = Spool(str(tmp_path)).identity()
    assert len(name) == 16 and Spool(str(tmp_path)).identity() == name
    (tmp_path / "other").mkdir()
    assert Spool(str(tmp_path / "other")).identity() != name


def test_files_of_others_and_broken_counters_do_no_harm(tmp_path: Path) -> None:
    for name in ("notes.seg", "acknowledged", "dropped", ".partial-x"):
        (tmp_path / name).write_text("nonsense")
    spool = Spool(str(tmp_path))
    assert spool.append({}) == 1
    assert numbers(spool) == [1] and spool.dropped() == 0


def test_too_long_a_record_is_refused_and_harms_no_other(tmp_path: Path) -> None:
    spool = filled(tmp_path, 1)
    with pytest.raises(ValueError, match="too long"):
        spool.append({"text": "x" * MAX_RECORD})
    assert spool.append({}) == 2
    assert numbers(spool) == [1, 2]


def test_a_reply_is_bounded_in_bytes_but_never_empty(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    for _ in range(5):
        spool.append({"text": "x" * 1000})
    assert len(spool.read(100, most=2500)) == 2
    assert len(spool.read(100, most=10)) == 1


def test_a_full_disk_costs_records_but_neither_earlier_nor_later_ones(tmp_path: Path) -> None:
    spool = filled(tmp_path, 2)

    class Full:
        """Takes half of a record, as a disk that fills up does."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def write(self, data: bytes) -> int:
            self._inner.write(data[: len(data) // 2])
            self._inner.flush()
            raise OSError(28, "No space left on device")

    spool._stream = Full(spool._stream)
    with pytest.raises(OSError, match="No space"):
        spool.append({"value": "lost"})
    after = spool.append({"value": "later"})
    assert numbers(spool) == [1, 2, after]


def test_records_are_durable_before_they_are_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, 40, segment=500).close()
    synced: list[str] = []
    monkeypatch.setattr(
        module.FILES,
        "sync",
        lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())),
    )
    assert len(numbers(Spool(str(tmp_path)))) == 40
    assert synced == [str(file) for file in segments(tmp_path)]


def test_reading_and_releasing_while_writing(tmp_path: Path) -> None:
    total = 3000
    seen: list[int] = []
    writer = threading.Thread(target=lambda: filled(tmp_path, total, segment=2000).close())
    writer.start()
    reader = Spool(str(tmp_path))
    while writer.is_alive() or numbers(reader, 1):
        found = numbers(reader, 100)
        if found:
            seen += found
            reader.acknowledge(found[-1])
    writer.join()
    assert seen == list(range(1, total + 1))


class Model(RuleBasedStateMachine):
    """A sampler that is killed and restarted at will, and a host that pulls."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._writer = module.Spool(self._folder.name, quota=3000, segment=400)
        self._held: dict[int, int] = {}
        self._acknowledged = 0
        self._count = 0

    @property
    def _host(self) -> module.Spool:
        return module.Spool(self._folder.name)

    @rule(times=st.integers(1, 30))
    def append(self, times: int) -> None:
        for _ in range(times):
            self._count += 1
            number = self._writer.append({"value": self._count})
            assert number > max([*self._held, self._acknowledged])
            self._held[number] = self._count

    @rule()
    def restart(self) -> None:
        self._writer.close()
        self._writer = module.Spool(self._folder.name, quota=3000, segment=400)

    @precondition(lambda self: self._held)
    @rule(limit=st.integers(1, 50), skip=st.integers(0, 10))
    def pull(self, limit: int, skip: int) -> None:
        found = self._host.read(limit)
        for record in found:
            assert self._held[record["seq"]] == record["value"]
        if len(found) > skip:
            self._acknowledged = found[-1 - skip]["seq"]
            self._host.acknowledge(self._acknowledged)

    @invariant()
    def everything_is_held_or_counted(self) -> None:
        found = [record["seq"] for record in self._host.read(10_000)]
        due = sorted(number for number in self._held if number > self._acknowledged)
        assert found == due[len(due) - len(found) :]
        assert self._host.dropped() >= len(due) - len(found)

    def teardown(self) -> None:
        self._writer.close()
        self._folder.cleanup()


Model.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestModel = Model.TestCase
