"""key and build: what an engine for a bundle is bound to here, and building it."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict

from yardarm_runtime import device, tensorrt
from yardarm_runtime.cuda import open_cuda
from yardarm_runtime.engines import Place, opening
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt import ready
from yardarm_runtime.tensorrt.cache import Cache
from yardarm_wire.engines import Key

Progress = Callable[[str, int, int], None]


def key(bundle: str, place: Place) -> Dict[str, Any]:
    """{"key": …, "present": bool}; the key is None where the bundle needs no engine here.

    Raises:
        Problem: the bundle needs one, and TensorRT or CUDA are not there.
    """
    if not needs_engine(bundle):
        return {"key": None, "present": False}
    found = _wanted(bundle, place)
    present = place.engines is not None and Cache(place.engines).present(found)
    return {"key": found.to_json(), "present": present}


def build(bundle: str, place: Place, progress: Progress, force: bool) -> Dict[str, Any]:
    """{"engine": its record, "cached": whether it was there, "built_s": seconds that its build
    took, None where it was handed over, "notes": what the user should know}.

    Raises:
        Problem: the bundle needs no engine, or it can't be built.
        OSError: it can't be kept.
    """
    if not needs_engine(bundle):
        raise Problem("this bundle needs no engine: it is for %s" % opening.target(bundle))
    if place.engines is None:
        raise Problem("say with --engines where the engine is kept")
    wanted = _wanted(bundle, place)
    found = ready.ensure(Cache(place.engines), wanted, bundle, progress, force)
    history = found.stored.history
    return {
        "engine": found.stored.record.to_json(),
        "cached": found.cached,
        "built_s": history.get("built_s"),
        "notes": history.get("notes", []),
    }


def needs_engine(bundle: str) -> bool:
    """Not where onnxruntime builds its own. Raises Problem."""
    if not os.path.isdir(bundle):
        raise Problem("there is no bundle: %s" % bundle)
    if opening.target(bundle) != opening.TENSORRT:
        return False
    return tensorrt.there() or not opening.gpu_providers()


def _wanted(bundle: str, place: Place) -> Key:
    return ready.wanted(tensorrt.load(), open_cuda(), bundle, device.read(place.device))
