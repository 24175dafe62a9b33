"""serve: the service on waitress, until SIGTERM or SIGINT."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from contextlib import closing
from typing import Any, Callable, Optional

import waitress
from waitress import wasyncore

from yardarm_runtime.counters import Counters, CountersFile
from yardarm_runtime.engines import NOWHERE, Place, open_engine
from yardarm_runtime.service import MAX_BODY, Service

HANDLERS = 4
CONNECTIONS = 32
DRAIN_S = 5.0
"""Requests that are being answered when the signal comes get this long to finish."""


def serve(
    bundle: str,
    host: str,
    port: int,
    threads: int,
    counters_path: Optional[str],
    *,
    place: Place = NOWHERE,
    progress: Callable[[str, int, int], None] = lambda _phase, _done, _total: None,
) -> None:
    """Serve until a signal; print {"listening": PORT} once requests are taken. Where an engine
    is built first, `progress` is told.

    Raises:
        Problem: the bundle can't be loaded.
        OSError: the address is taken, or the counters can't be written.
    """
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    counters = Counters()
    with closing(open_engine(bundle, threads, place, progress)) as engine:
        service = Service(bundle, engine, counters)
        file = CountersFile(counters, counters_path) if counters_path else None
        if file:
            file.update(force=True)
        _serve(listen(service, host, port), file)
        if file:
            file.update(force=True)


def _serve(server: Any, file: Optional[CountersFile]) -> None:
    stop = threading.Event()

    def ask_to_stop(*_signal: Any) -> None:
        stop.set()
        server.pull_trigger()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    print(json.dumps({"listening": int(server.effective_port)}), flush=True)
    _loop(server, stop.is_set, file)
    _drain(server, file)


def listen(service: Service, host: str, port: int) -> Any:
    """Bodies stay in memory (their number and size are bounded): the root may be read-only."""
    return waitress.create_server(
        service,
        host=host,
        port=port,
        threads=HANDLERS,
        connection_limit=CONNECTIONS,
        max_request_body_size=MAX_BODY,
        inbuf_overflow=MAX_BODY + 1,
        outbuf_overflow=MAX_BODY * 8,
        clear_untrusted_proxy_headers=True,
        ident=None,
    )


def _loop(server: Any, done: Callable[[], bool], file: Optional[CountersFile]) -> None:
    """waitress's loop, one turn of at most a second at a time."""
    failed = False
    while not done():
        wasyncore.loop(timeout=1, map=server._map, count=1)
        failed = _update(file, failed)


def _update(file: Optional[CountersFile], failed: bool) -> bool:
    """Whether writing failed: a full disk must not end the service, and is told once."""
    try:
        if file:
            file.update()
        return False
    except OSError as error:
        if not failed:
            print(json.dumps({"warning": "counters: %s" % error}), file=sys.stderr, flush=True)
        return True


def _drain(server: Any, file: Optional[CountersFile]) -> None:
    """Take no more connections, let the open requests be answered, then close."""
    server.accepting = False
    deadline = time.monotonic() + DRAIN_S

    def done() -> bool:
        busy = any(item.requests or item.total_outbufs_len for item in _channels(server))
        return not busy or time.monotonic() > deadline

    _loop(server, done, file)
    server.task_dispatcher.shutdown(timeout=0.1)
    wasyncore.close_all(server._map)


def _channels(server: Any) -> Any:
    return list(server.active_channels.values())
