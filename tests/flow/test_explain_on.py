"""Explaining with the times of a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yardarm import profiles
from yardarm.errors import Unsupported
from yardarm.flow import explain


def test_nothing_is_deployed_where_candidates_cannot_be_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[Any]:
        yield None, SimpleNamespace(profile=profiles.load("jetson-orin-nano-8gb"))

    def probing(*_: Any) -> None:
        raise AssertionError("a release is placed for it")

    monkeypatch.setattr(explain, "at_work", opened)
    monkeypatch.setattr(explain, "probing", probing)
    with pytest.raises(Unsupported, match="can't be timed") as refused:
        explain.explain_on(Path(), "board", lambda _: None)
    assert refused.value.where == "board"
