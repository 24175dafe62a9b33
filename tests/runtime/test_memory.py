"""What a build may take, as pure decisions and from recorded /proc trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt import memory
from yardarm_runtime.tensorrt.memory import HEADROOM, LEAST, MIB, WEIGHTS, User

USERS = [User("chromium", 17, 900 * MIB), User("gnome-shell", 5, 300 * MIB)]


def test_where_there_is_room_the_pool_is_what_was_asked_for() -> None:
    assert memory.pool(512 * MIB, 8000 * MIB, 10 * MIB, USERS) == (512 * MIB, None)
    edge = HEADROOM + WEIGHTS * 10 * MIB + 512 * MIB
    assert memory.pool(512 * MIB, edge, 10 * MIB, []) == (512 * MIB, None)


def test_where_there_is_less_the_pool_is_lowered_and_that_is_said() -> None:
    size, note = memory.pool(1024 * MIB, HEADROOM + 200 * MIB, 0, USERS)
    assert size == 200 * MIB
    assert note == (
        "the memory pool is 200 MiB instead of 1024: 712 MiB are free, most is held by "
        "chromium (17) 900 MiB, gnome-shell (5) 300 MiB"
    )


def test_a_build_that_does_not_fit_is_refused_before_the_kernel_kills_it() -> None:
    with pytest.raises(Problem, match=r"needs about 828 MiB .*, there are 600, .*chromium \(17\)"):
        memory.pool(1024 * MIB, 600 * MIB, 100 * MIB, USERS)
    assert memory.pool(1024 * MIB, HEADROOM + LEAST, 0, [])[0] == LEAST


def test_proc_tells_what_is_free_and_who_holds_the_rest(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 8000 kB\nMemAvailable:    2048 kB\n")
    for process, name, resident in ((3, "small", 10), (4, "large", 999), (5, "none", None)):
        (tmp_path / str(process)).mkdir()
        lines = f"Name:\t{name}\n" + (f"VmRSS:\t {resident} kB\n" if resident else "")
        (tmp_path / str(process) / "status").write_text(lines)
    (tmp_path / "6").mkdir()  # gone meanwhile
    assert memory.available(str(tmp_path), str(tmp_path)) == 2 * MIB
    assert memory.users(str(tmp_path)) == [User("large", 4, 999 * 1024), User("small", 3, 10240)]
    assert memory.users(str(tmp_path), most=1) == [User("large", 4, 999 * 1024)]


@pytest.mark.parametrize("text", ["", "MemFree: 3 kB\n", "MemAvailable: much\n"])
def test_what_is_not_told_is_not_made_up(tmp_path: Path, text: str) -> None:
    (tmp_path / "meminfo").write_text(text)
    assert memory.available(str(tmp_path), str(tmp_path)) is None
    assert memory.available(str(tmp_path / "no"), str(tmp_path / "no")) is None
    assert memory.users(str(tmp_path / "no")) == []


@pytest.mark.parametrize(
    ("limit", "free"), [("max", 2 * MIB), ("1500000", 500_000), ("900000", 0), ("9000000", 2 * MIB)]
)
def test_a_containers_limit_counts_too(tmp_path: Path, limit: str, free: int) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable:    2048 kB\n")
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert memory.available(str(tmp_path), str(tmp_path)) == free


def test_this_machine_tells() -> None:
    assert (memory.available() or 0) > MIB
