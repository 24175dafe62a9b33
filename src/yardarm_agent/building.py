"""Engines that are built here: which one a release wants, and the runtime's build of it.

Only a build may write to the folder of engines. Whatever else runs of a release sees it
read-only, the service above all, which takes requests from outside: so the supervisor builds
before it serves where an engine is missing, after a change of the power mode for example.
"""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any, Dict, Generator, List, Optional

from yardarm_agent import blobs, child, engine, engines, machine
from yardarm_agent.layout import Layout, hexadecimal
from yardarm_wire.engines import Key
from yardarm_wire.files import FILES
from yardarm_wire.problems import Invalid, NotVerified, Refusal

KEY_TIMEOUT = 90.0
"""Seconds until the runtime has found TensorRT and the GPU, on a board that is busy."""

SIZES = 2
"""Room for a plan, as a multiple of its model; a plan is about as large as its weights."""


def needs(layout: Layout, digest: str) -> bool:
    """Whether a prepared release runs by an engine."""
    return engine.target(layout, digest) == engine.TENSORRT


def key(layout: Layout, digest: str, anew: bool = False) -> Optional[Key]:
    """The key of the engine that a prepared release wants here; None: it needs none.

    The runtime is asked once, and again when the device's facts have changed.

    Args:
        anew: ask it in any case.

    Raises:
        NotVerified: the runtime can't tell, without TensorRT for example.
    """
    if not needs(layout, digest):
        return None
    device = machine.identity()
    known = None if anew else _known(layout, digest)
    if known is None or known["device"] != device:
        known = {"device": device, "key": _ask(layout, digest)}
        FILES.write(_note(layout, digest), json.dumps(known).encode())
    return None if known["key"] is None else Key.from_json(known["key"])


def _ask(layout: Layout, digest: str) -> Any:
    argv = engine.for_release(layout, digest, [], "key", "--bundle", "/bundle")
    answer = child.answer(argv, os.path.join(layout.run, "key.log"), KEY_TIMEOUT)
    try:
        return None if answer["key"] is None else Key.from_json(answer["key"]).to_json()
    except (KeyError, ValueError) as error:
        raise NotVerified("the runtime names no engine's key: %s" % error) from None


def _note(layout: Layout, digest: str) -> str:
    return os.path.join(layout.run, "engine-%s.json" % hexadecimal(digest))


def _known(layout: Layout, digest: str) -> Optional[Dict[str, Any]]:
    try:
        with open(_note(layout, digest), "rb") as stream:
            body = json.load(stream)
    except (FileNotFoundError, ValueError):
        return None
    return body if isinstance(body, dict) and set(body) == {"device", "key"} else None


def state(layout: Layout, digest: str) -> Dict[str, Any]:
    """{"key", "present", "differences"}: which engine the release wants, None where it needs
    none; whether it is here and whole; and else how the nearest one that is kept differs. A
    damaged one is removed.

    Raises:
        Invalid: the release is not prepared. NotVerified: as `key`.
    """
    if not os.path.isdir(layout.release(digest)):
        raise Invalid("the release is not prepared", digest)
    asked = key(layout, digest, anew=True)
    if asked is None:
        return {"key": None, "present": True, "differences": []}
    present = ready(layout, asked)
    differences = [] if present else engines.differences(layout, asked)
    return {"key": asked.to_json(), "present": present, "differences": differences}


def ready(layout: Layout, asked: Key) -> bool:
    found = engines.find(layout, asked)
    if found is not None and not engines.whole(found):
        engines.drop(layout, found)
        return False
    return found is not None


def lacking(layout: Layout, digest: str) -> bool:
    """Whether a prepared release runs by an engine that is not here, or damaged."""
    asked = key(layout, digest)
    return asked is not None and not ready(layout, asked)


def name(layout: Layout, digest: str) -> str:
    """The digest of the key of a release's engine; "" where it needs none."""
    asked = key(layout, digest)
    return "" if asked is None else asked.digest()


def require(layout: Layout, digest: str) -> None:
    """Raises Refusal where the release's engine is not here."""
    asked = key(layout, digest)
    if asked is not None and not ready(layout, asked):
        raise Refusal(
            "this device has no engine for the release: "
            + ("; ".join(engines.differences(layout, asked)) or "none was built yet"),
            digest,
            "run `yardarm deploy` again: it builds what is missing",
        )


def arguments(layout: Layout, digest: str) -> List[str]:
    """The argv that builds a release's engine, unless it is there."""
    return engine.for_release(layout, digest, [], "build", "--bundle", "/bundle", engines="rw")


def wanted(layout: Layout, digest: str) -> Key:
    """As `key`, of a release that is prepared and runs by an engine; Invalid otherwise."""
    found = key(layout, digest) if os.path.isdir(layout.release(digest)) else None
    if found is None:
        raise Invalid("the release is not prepared, or needs no engine", digest)
    return found


def build(layout: Layout, digest: str) -> Generator[Dict[str, Any], None, None]:
    """Yield {"progress": the runtime's}, and at last {"engine": record, "cached", "built_s",
    "notes"}.

    The build is ended when the caller stops listening (closes the generator); nothing
    half-done stays.

    Raises:
        Invalid: the release is not prepared, or needs no engine. Refusal: no room.
        InUse: another build is under way. NotVerified: it failed.
    """
    asked = wanted(layout, digest)
    model = os.path.join(layout.release(digest), "bundles", "main", "model.onnx")
    blobs.require(layout, SIZES * os.stat(model).st_size)
    with engines.owned(layout) as lock:
        last = None
        for last in _followed(layout, arguments(layout, digest), lock.fileno()):
            if "progress" in last:
                yield last
        yield _built(layout, asked, last)


def _followed(layout: Layout, argv: List[str], lock: int) -> Generator[Dict[str, Any], None, None]:
    """The lock goes with the build, so that it is held as long as that lives."""
    log = os.path.join(layout.run, "build.log")
    with closing(child.follow(argv, log, kept=(lock,))) as told:
        for body in told:
            yield body if "engine" in body else {"progress": body}


def _built(layout: Layout, asked: Key, last: Any) -> Dict[str, Any]:
    found = engines.find(layout, asked)
    if not isinstance(last, dict) or "engine" not in last or found is None:
        raise NotVerified("the build ended without the engine that was asked for")
    if not engines.whole(found):
        raise NotVerified("the engine that was built is damaged", found.record.engine)
    told = {name: last.get(name) for name in ("cached", "built_s", "notes")}
    return dict(told, engine=found.record.to_json())
