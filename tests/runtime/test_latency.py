from __future__ import annotations

import gc
import time

from yardarm_runtime import latency


def test_every_call_is_timed_once_and_in_order():
    calls: list[int] = []
    seen: list[tuple[int, int]] = []
    samples = latency.timed(
        lambda: calls.append(time.perf_counter_ns()), 40, 5, lambda _s, b, e: seen.append((b, e))
    )
    assert len(calls) == 45
    assert [b for b, _ in seen] == [0] + [e for _, e in seen[:-1]] and seen[-1][1] == 40
    table = samples.table()
    inside = [at - calls[5] for at in calls[5:]]
    assert table[0, 0] == 0
    for at, (start, duration) in zip(inside, table.tolist(), strict=True):
        assert start <= at + table[0, 1] and at <= start + duration


def test_a_slow_call_measures_as_slow():
    samples = latency.timed(lambda: time.sleep(0.005), 4, 1, lambda *_: None)
    assert (samples.durations(0, 4) >= 5_000_000).all()


def test_the_collector_rests_while_timing_and_works_afterwards():
    states: list[bool] = []
    latency.timed(lambda: states.append(gc.isenabled()), 3, 1, lambda *_: None)
    assert states == [False] * 4 and gc.isenabled() and gc.get_freeze_count() == 0


def test_the_floor_is_positive_and_small():
    """An idle machine says 60 ns and 175 ns; the bounds allow for a busy one."""
    floor = latency.floor()
    assert 0 < floor["floor_ns"] <= floor["iteration_ns"] < 20_000
