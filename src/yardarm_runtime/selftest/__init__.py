"""selftest: everything that running a model here needs, tried with a small one.

Its report is what a user attaches to say "verified on hardware".
"""

from __future__ import annotations

import datetime
from typing import Any, Callable, Dict, List

from yardarm_runtime import tensorrt
from yardarm_runtime.engines import Place, opening
from yardarm_runtime.problems import Problem
from yardarm_runtime.selftest import detect, model
from yardarm_runtime.selftest.steps import Absent, Steps, Tell
from yardarm_runtime.selftest.trial import Route, tried
from yardarm_runtime.tensorrt.generation import generation_of

SCHEMA = "yardarm.selftest/1"
NONE = "none, nothing here can run a model"


def run(place: Place, tell: Tell) -> Dict[str, Any]:
    """Detect, build, run, compare and time.

    Args:
        place: engines are built in a folder of their own below `place.engines`, which is
            removed again.
        tell: told each step as a line of text.

    Returns:
        The report: `steps` in their order, each {name, ok, detail, seconds}, with `ok` None
        for what is not there and perhaps `figures`; `routes` that answered rightly; `ok` where
        no step failed and a route is there; `verified`, the device's identity.
    """
    steps = Steps(tell)
    verified = dict(steps.do("machine", lambda: detect.machine(place.device)))
    verified.update(steps.do("onnxruntime", lambda: _or_absent(detect.onnxruntime)))
    found = steps.do("TensorRT", _tensorrt)
    verified.update(found)
    verified.update(steps.do("CUDA", lambda: _cuda(needed=bool(found))))
    routes = [route for route in _routes(verified) if _works(route, place, steps)]
    verified["when"] = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    failed = [step["name"] for step in steps.all if step["ok"] is False]
    tell("routes: %s" % (", ".join(route.name for route in routes) or NONE))
    if failed or routes:
        tell("failed: %s" % ", ".join(failed) if failed else "nothing failed")
    return {
        "schema": SCHEMA,
        "routes": [route.name for route in routes],
        "steps": steps.all,
        "ok": bool(routes) and not failed,
        "verified": verified,
    }


def _or_absent(action: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    try:
        return action()
    except ImportError as error:
        raise Absent(str(error)) from None


def _tensorrt() -> Dict[str, Any]:
    if not tensorrt.there():
        raise Absent(tensorrt.MISSING % "there is no module of that name")
    return detect.trt()


def _cuda(needed: bool) -> Dict[str, Any]:
    """Without TensorRT nobody needs CUDA."""
    try:
        return detect.cuda()
    except Problem as error:
        if needed:
            raise
        raise Absent(str(error)) from None


def _routes(found: Dict[str, Any]) -> List[Route]:
    routes = []
    if "onnxruntime" in found:
        routes.append(Route("onnxruntime", opening.ONNXRUNTIME))
    if "tensorrt" in found and "sm" in found:
        typed = generation_of(tensorrt.load()).strongly_typed
        routes.append(Route("tensorrt", opening.TENSORRT, typed))
    elif opening.gpu_providers():
        routes.append(Route("onnxruntime on a GPU", opening.TENSORRT))
    return routes


def _works(route: Route, place: Place, steps: Steps) -> bool:
    """Whether it answered rightly in every type."""
    answers = [tried(route, kind, place, steps) for kind in model.KINDS]  # all of them
    return all(answers)
