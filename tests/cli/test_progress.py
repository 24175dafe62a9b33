"""What is written where there is no terminal."""

from __future__ import annotations

import io

from yardarm.cli.console import Plain
from yardarm.events import Advanced, Finished, Note, Started


def test_a_long_step_tells_where_it_is_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), [0.0]
    sink = Plain(stream, lambda: clock[0])
    sink(Started("push", "push"))
    for second in range(0, 31):
        clock[0] = float(second)
        sink(Advanced("push", second * 1_000_000, 31_000_000, "bytes"))
    sink(Finished("push", "2 of 3 blobs", 31.0))
    lines = stream.getvalue().splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "push 10.0/31.0 MB",
        "push 20.0/31.0 MB",
        "push 30.0/31.0 MB",
        "push 31.0 s 2 of 3 blobs",
    ]


def test_a_short_step_is_one_line() -> None:
    stream = io.StringIO()
    sink = Plain(stream, lambda: 0.0)
    sink(Started("a", "calibrate"))
    sink(Advanced("a", 1, 2, "samples"))
    sink(Finished("a", "", 0.1))
    sink(Note("look", "warning"))
    assert stream.getvalue().splitlines() == [f"{'calibrate':<24} {'0.1 s':>13}", "warning: look"]
