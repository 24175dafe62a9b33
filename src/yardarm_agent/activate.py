"""The switch to a prepared release: one rename, then proof of health, or back."""

from __future__ import annotations

import http.client
import json
import os
import time
from typing import Any, Dict, Optional

from yardarm_agent import daemon, trust
from yardarm_agent.layout import Layout
from yardarm_wire.files import FILES
from yardarm_wire.problems import Invalid, NotVerified


def activate(layout: Layout, digest: str) -> Dict[str, Any]:
    """Make a prepared release the current one and see it healthy.

    Returns:
        {"changed": bool, "previous": digest or None, "downtime_s": seconds without service}.

    Raises:
        NotVerified: it was not healthy by its deadline; the previous release runs again.
    """
    release = _release(layout, digest)
    before = layout.active(layout.current)
    if before == digest and _healthy(release):
        return {"changed": False, "previous": layout.active(layout.previous), "downtime_s": 0.0}
    trust.raise_floor(layout, release)
    if before is not None and before != digest:
        FILES.link(os.readlink(layout.current), layout.previous)
    begun = time.monotonic()
    _switch(layout, digest)
    if not _wait(release, release["health"]["deadline_s"]):
        raise _back(layout, before, release)
    daemon.stop(layout, "telemetry")
    daemon.start(layout, "telemetry")
    seconds = time.monotonic() - begun if before else 0.0
    return {"changed": True, "previous": before, "downtime_s": round(seconds, 3)}


def _switch(layout: Layout, digest: Optional[str]) -> None:
    daemon.stop(layout, "supervisor")
    if digest is None:
        os.unlink(layout.current)
        FILES.sync_folder(layout.releases)
        return
    FILES.link(os.path.basename(layout.release(digest)), layout.current)
    daemon.start(layout, "supervisor")


def _back(layout: Layout, before: Optional[str], release: Dict[str, Any]) -> NotVerified:
    """Return to the release before, and the error that says why."""
    tail = log_tail(layout, "supervisor", 6)
    _switch(layout, before)
    running = "the previous release runs again" if before else "no release runs"
    return NotVerified(
        "the release was not healthy within %.0f s; %s"
        % (release["health"]["deadline_s"], running),
        release["project"],
        tail,
    )


def _release(layout: Layout, digest: str) -> Dict[str, Any]:
    try:
        with open(os.path.join(layout.release(digest), "release.json"), "rb") as stream:
            release: Dict[str, Any] = json.load(stream)
    except FileNotFoundError:
        raise Invalid("the release is not prepared", digest) from None
    return release


def _wait(release: Dict[str, Any], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _healthy(release):
            return True
        time.sleep(0.1)
    return False


def _healthy(release: Dict[str, Any]) -> bool:
    """Whether the service answers /health for this release's model, and its golden inputs."""
    port = release["run"]["port"]
    health = _ask("GET", port, "/health")
    model = release["bundles"]["main"]["files"]["model.onnx"]["digest"]
    if health is None or health.get("model") != model:
        return False
    golden = _ask("POST", port, "/golden")
    return golden is not None and bool(golden.get("ok"))


def _ask(method: str, port: int, path: str) -> "Dict[str, Any] | None":
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = json.loads(response.read(1 << 20).decode())
        return body if response.status == 200 and isinstance(body, dict) else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def log_tail(layout: Layout, name: str, lines: int) -> str:
    try:
        with open(os.path.join(layout.run, name + ".log"), "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - (1 << 16)))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
