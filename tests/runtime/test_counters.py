from __future__ import annotations

import json
import math
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm_runtime.counters import GROWTH, Counters, CountersFile, Histogram


@given(
    st.lists(st.floats(1.0, 1e9), min_size=1, max_size=200),
    st.sampled_from([0, 50, 90, 99, 99.9, 100]),
)
def test_percentiles_are_at_most_one_bucket_above_the_nearest_rank(values, percent):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    true = sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]
    found = histogram.percentile(percent)
    assert found is not None
    assert true * (1 - 1e-9) <= found <= min(true * GROWTH * (1 + 1e-9), max(values))


def test_beyond_the_last_bucket_the_maximum_is_told():
    histogram = Histogram()
    histogram.add(5e9)
    assert histogram.percentile(50) == 5e9


def test_nothing_counted_is_none_not_zero():
    latency = Counters().snapshot()["latency_us"]
    assert latency["count"] == 0 and latency["p50"] is latency["max"] is None


def test_threads_lose_no_count():
    counters = Counters()

    def work():
        for _index in range(2000):
            counters.answered(5.0)
            counters.refused()

    threads = [Thread(target=work) for _index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    body = counters.snapshot()
    assert (body["requests"], body["errors"], body["latency_us"]["count"]) == (16000, 8000, 8000)


def test_the_file_is_written_only_when_due_and_changed(tmp_path):
    path = tmp_path / "counters.json"
    counters = Counters()
    file = CountersFile(counters, str(path), interval=0.0)
    file.update(force=True)
    before = path.read_bytes()
    file.update()
    assert path.read_bytes() == before
    counters.answered(10)
    slow = CountersFile(counters, str(path), interval=1000.0)
    slow.update(force=True)
    counters.answered(10)
    slow.update()
    assert json.loads(path.read_bytes())["requests"] == 1
    file.update()
    assert json.loads(path.read_bytes())["requests"] == 2


def test_a_folder_that_is_gone_raises_and_leaves_nothing(tmp_path):
    with pytest.raises(OSError):
        CountersFile(Counters(), str(tmp_path / "gone" / "counters.json")).update(force=True)
    assert list(tmp_path.iterdir()) == []
