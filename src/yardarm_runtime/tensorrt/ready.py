"""The engine of a bundle on this device: found, or built and tried."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, NamedTuple, Optional

from yardarm_runtime import device, manifest
from yardarm_runtime.cuda import Cuda
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt import builder, child, key, options
from yardarm_runtime.tensorrt.cache import Cache, Stored, Unfit
from yardarm_wire.engines import Key

ANSWER_S = 300.0
"""A new engine that has not answered by then hangs."""

Progress = Callable[[str, int, int], None]


class Ready(NamedTuple):
    """An engine with the right key, and whether it had been there before."""

    stored: Stored
    cached: bool


def wanted(trt: Any, cuda: Cuda, bundle: str, here: device.Device) -> Key:
    """The key of the engine that the bundle needs here. Raises Problem."""
    wishes = options.of(manifest.read(bundle))
    builder.check(trt, wishes)
    major, minor = cuda.capability()
    return key.of(bundle, wishes.digest, str(trt.__version__), major * 10 + minor, here)


def ensure(cache: Cache, wanted: Key, bundle: str, progress: Progress, force: bool) -> Ready:
    """Find the engine of that key, or build it, have it answer once and keep it.

    Raises:
        Problem: it can't be built or kept, or crashes when it answers; then nothing is kept.
    """
    found = None if force else _found(cache, wanted, progress)
    if found:
        return Ready(found, True)
    with cache.building(wanted, progress) as partial:
        found = None if force else _found(cache, wanted, _silent)
        if found:  # by the process that we waited for
            return Ready(found, True)
        for reason in cache.reasons(wanted):
            progress("an engine is here for something else: %s" % reason, 0, 0)
        history = _build(cache, wanted, bundle, partial, progress)
        _answer(bundle, partial, progress)
        cache.keep(wanted, history)
        cache.forget_broken()
        stored = cache.read(wanted)
    assert stored is not None
    return Ready(stored, False)


def _found(cache: Cache, wanted: Key, progress: Progress) -> Optional[Stored]:
    try:
        return cache.read(wanted)
    except Unfit as error:
        progress("%s; it is built anew" % error, 0, 0)
        return None


def _build(
    cache: Cache, wanted: Key, bundle: str, partial: str, progress: Progress
) -> Dict[str, Any]:
    request = {
        "do": "build",
        "bundle": os.path.abspath(bundle),
        "partial": os.path.abspath(partial),
        "engines": os.path.abspath(cache.root),
        "sm": wanted.sm,
    }
    try:
        return child.work(request, progress, None)
    except child.Ended as error:
        raise Problem("the build of the engine broke off: %s" % error.how) from None


def _answer(bundle: str, partial: str, progress: Progress) -> None:
    """Raises Problem where the new engine doesn't answer."""
    progress("trying the new engine", 0, 1)
    request = {
        "do": "answer",
        "bundle": os.path.abspath(bundle),
        "partial": os.path.abspath(partial),
    }
    try:
        child.work(request, _silent, ANSWER_S)
    except child.Ended as error:
        raise Problem(
            "the new engine crashed when it answered for the first time: %s. It is not kept"
            % error.how
        ) from None
    except Problem as error:
        raise Problem("the new engine doesn't answer: %s. It is not kept" % error) from None
    progress("trying the new engine", 1, 1)


def _silent(_phase: str, _done: int, _total: int) -> None:
    pass
