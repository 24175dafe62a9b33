"""The switch to a prepared release: one rename, then proof of health, or back."""

from __future__ import annotations

import http.client
import json
import os
import time
from typing import Any, Dict, Optional

from yardarm_agent import building, daemon, engines, supervisor, telemetry, trust
from yardarm_agent.layout import Layout
from yardarm_wire.files import FILES
from yardarm_wire.problems import Invalid, NotVerified, Refusal

LONGEST_RETURN = 60.0
"""Seconds that the release before gets to show that it runs again."""


def activate(layout: Layout, digest: str) -> Dict[str, Any]:
    """Make a prepared release the current one and see it healthy.

    Returns:
        {"changed": bool, "previous": digest or None, "downtime_s": seconds without service}.

    Raises:
        NotVerified: it was not healthy by its deadline, or ended twice by itself; the
            previous release runs again.
        Refusal: its port is taken, or its engine isn't here; what runs goes on.
    """
    release = _release(layout, digest)
    building.require(layout, digest)
    before = layout.active(layout.current)
    serves = supervisor.engine_served(layout) == building.name(layout, digest)
    if before == digest and serves and _healthy(layout, digest, time.monotonic() + 30):
        _proven(layout, digest, release)
        return {"changed": False, "previous": layout.active(layout.previous), "downtime_s": 0.0}
    _require_port(layout, release)
    earlier, last = _earlier(layout, digest), layout.active(layout.previous)
    _point(layout, layout.previous, earlier)
    begun = time.monotonic()
    _switch(layout, digest)
    if not _wait(layout, digest, release["health"]["deadline_s"]):
        problem = _back(layout, earlier, release, begun)
        _point(layout, layout.previous, last)
        raise problem
    seconds = time.monotonic() - begun if before else 0.0
    _proven(layout, digest, release)
    return {"changed": True, "previous": earlier, "downtime_s": round(seconds, 3)}


def _proven(layout: Layout, digest: str, release: Dict[str, Any]) -> None:
    """A healthy release: older ones are not taken any more, and what watches over it runs,
    in the agent's present version."""
    trust.raise_floor(layout, release)
    supervisor.ensure(layout)
    telemetry.ensure(layout, digest)
    engines.sweep(layout, [digest, layout.active(layout.previous)])


def _require_port(layout: Layout, release: Dict[str, Any]) -> None:
    """Found out before what runs is stopped."""
    port = release["run"]["port"]
    if not supervisor.port_free(layout, port):
        raise Refusal(
            "port %d is taken by another program; nothing was changed" % port,
            release["project"],
            "end that program, or set run.port in yardarm.toml",
        )


def _point(layout: Layout, link: str, digest: Optional[str]) -> None:
    if digest is not None:
        FILES.link(os.path.basename(layout.release(digest)), link)
    elif os.path.islink(link):
        os.unlink(link)
        FILES.sync_folder(layout.releases)


def _earlier(layout: Layout, digest: str) -> Optional[str]:
    """The release to return to. `current` may name the new one already: a switch that was
    cut off before its proof."""
    for link in (layout.current, layout.previous):
        active = layout.active(link)
        if active is not None and active != digest and os.path.isdir(layout.release(active)):
            return active
    return None


def _switch(layout: Layout, digest: Optional[str]) -> None:
    daemon.stop(layout, "supervisor")
    supervisor.end_stale(layout)
    _point(layout, layout.current, digest)
    if digest is not None:
        daemon.start(layout, "supervisor")


def _back(
    layout: Layout, earlier: Optional[str], release: Dict[str, Any], begun: float
) -> NotVerified:
    """Return to the release before, and the error that says why."""
    tail = log_tail(layout, "supervisor", 6)
    tried = time.monotonic() - begun
    _switch(layout, earlier)
    running = "no release runs"
    if earlier is not None:
        answers = _wait(layout, earlier, LONGEST_RETURN)
        running = "the previous release %s after %.0f s without service" % (
            "runs again" if answers else "is current again, but not healthy",
            time.monotonic() - begun,
        )
    return NotVerified(
        "the release did not get healthy in %.0f s; %s" % (tried, running),
        release["project"],
        "the end of its log:\n" + tail,
    )


def project(layout: Layout) -> Optional[str]:
    """The project whose release is current."""
    digest = layout.active(layout.current)
    return _release(layout, digest)["project"] if digest else None


def _release(layout: Layout, digest: str) -> Dict[str, Any]:
    try:
        with open(os.path.join(layout.release(digest), "release.json"), "rb") as stream:
            release: Dict[str, Any] = json.load(stream)
    except FileNotFoundError:
        raise Invalid("the release is not prepared", digest) from None
    return release


def _wait(layout: Layout, digest: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _healthy(layout, digest, deadline):
            return True
        if supervisor.crashing(layout, digest):
            return False
        time.sleep(0.1)
    return False


def _healthy(layout: Layout, digest: str, deadline: float) -> bool:
    """Whether this release's own service answers /health for its model, and its golden
    inputs. Another one may have the same model and the same port."""
    release = _release(layout, digest)
    port = release["run"]["port"]
    if not supervisor.listening(layout, digest, port):
        return False
    health = _ask("GET", port, "/health", deadline)
    model = release["bundles"]["main"]["files"]["model.onnx"]["digest"]
    if health is None or health.get("model") != model:
        return False
    golden = _ask("POST", port, "/golden", deadline)
    return golden is not None and bool(golden.get("ok"))


def _ask(method: str, port: int, path: str, deadline: float) -> "Dict[str, Any] | None":
    left = max(0.1, deadline - time.monotonic())
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=min(30.0, left))
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
