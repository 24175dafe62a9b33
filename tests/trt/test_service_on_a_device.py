"""A service whose device fails."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yardarm_runtime.counters import Counters
from yardarm_runtime.engines import Place, open_engine
from yardarm_runtime.service import Service


@pytest.fixture
def ask(
    here: Any, make_bundle: Callable[..., Path], tmp_path: Path, images: Any
) -> Callable[..., tuple[int, Any]]:
    bundle = make_bundle()
    engine = open_engine(str(bundle), 1, Place(str(tmp_path / "engines")), lambda *_: None)
    service = Service(str(bundle), engine, Counters())

    def answered(path: str, samples: int = 1) -> tuple[int, Any]:
        body = io.BytesIO()
        np.savez(body, x=images[:samples])
        environ = {"PATH_INFO": path, "wsgi.input": io.BytesIO(body.getvalue())}
        environ["REQUEST_METHOD"] = "GET" if path == "/health" else "POST"
        answer = service.answer(environ)
        return answer.status, answer.body

    return answered


def test_a_broken_device_is_no_bad_request_and_shows(
    ask: Callable[..., tuple[int, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("/infer")[0] == 200 and ask("/health")[0] == 200
    monkeypatch.setenv("FAKE_TENSORRT_FAULT", "execution fails")
    status, body = ask("/infer")
    assert status == 500 and "enqueue failed" in json.loads(body)["error"]
    status, body = ask("/health")
    assert status == 500 and json.loads(body)["ok"] is False


def test_a_bad_request_breaks_nothing(ask: Callable[..., tuple[int, Any]]) -> None:
    status, body = ask("/infer", samples=5)
    assert status == 400 and "the engine takes from" in json.loads(body)["error"]
    assert ask("/health")[0] == 200 and ask("/infer", samples=4)[0] == 200
