"""The service as a WSGI application: four routes, JSON errors, npz in and out."""

from __future__ import annotations

import io
import json
import threading
import time
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Tuple

from yardarm_runtime import arrays, golden
from yardarm_runtime.counters import Counters
from yardarm_runtime.engines import Engine
from yardarm_runtime.problems import Broken, Problem

MAX_BODY = 16 << 20
MAX_UNPACKED = 64 << 20
"""Bytes of a request, and of what its archive may unpack to."""

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
}


class Answer(NamedTuple):
    status: int
    kind: str
    body: bytes


class Service:
    """Answers requests with one engine.

    Inferences take turns: together they use the threads that were asked for, no more.
    """

    def __init__(self, bundle: str, engine: Engine, counters: Counters) -> None:
        self._bundle = bundle
        self._engine = engine
        self._counters = counters
        self._turn = threading.Lock()
        self._digest = engine.digest()
        self._broken = ""
        self._routes = {
            "/health": ("GET", self._health),
            "/counters": ("GET", self._count),
            "/golden": ("POST", self._golden),
            "/infer": ("POST", self._infer),
        }  # type: Dict[str, Tuple[str, Callable[[Dict[str, Any]], Answer]]]

    def __call__(
        self, environ: Dict[str, Any], start_response: Callable[[str, List[Tuple[str, str]]], Any]
    ) -> Iterable[bytes]:
        answer = self.answer(environ)
        if answer.status >= 400:
            self._counters.refused()
        start_response(
            "%d %s" % (answer.status, REASONS[answer.status]),
            [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))],
        )
        return [answer.body]

    def answer(self, environ: Dict[str, Any]) -> Answer:
        method, action = self._routes.get(environ.get("PATH_INFO", ""), ("", None))
        if action is None:
            return _error(404, "there is nothing at this path")
        if environ["REQUEST_METHOD"] != method:
            return _error(405, "this path takes %s" % method)
        try:
            return action(environ)
        except (OSError, MemoryError) as error:
            return _error(500, "%s: %s" % (type(error).__name__, error))

    def _health(self, _environ: Dict[str, Any]) -> Answer:
        if self._broken:
            return _json(500, {"ok": False, "model": self._digest, "error": self._broken})
        return _json(200, {"ok": True, "model": self._digest})

    def _count(self, _environ: Dict[str, Any]) -> Answer:
        return _json(200, self._counters.snapshot())

    def _golden(self, _environ: Dict[str, Any]) -> Answer:
        try:
            with self._turn:
                return _json(200, golden.check(self._engine, self._bundle))
        except Problem as error:
            return _error(500, str(error))

    def _infer(self, environ: Dict[str, Any]) -> Answer:
        begun = time.perf_counter_ns()
        try:
            body = environ["wsgi.input"].read(MAX_BODY)
            with arrays.Archive(io.BytesIO(body), MAX_UNPACKED) as archive:
                feeds = archive.read_all()
            self._engine.check(feeds)
            with self._turn:
                outputs = self._engine.run(feeds)
        except Broken as error:
            self._broken = str(error)  # which /health tells from now on
            return _error(500, str(error))
        except Problem as error:
            return _error(400, str(error))
        packed = io.BytesIO()
        arrays.write(packed, outputs)
        self._counters.answered((time.perf_counter_ns() - begun) / 1e3)
        return Answer(200, "application/octet-stream", packed.getvalue())


def _json(status: int, value: Any) -> Answer:
    return Answer(status, "application/json", json.dumps(value).encode())


def _error(status: int, text: str) -> Answer:
    return _json(status, {"error": text})
