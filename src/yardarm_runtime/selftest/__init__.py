"""selftest: everything that running a model here needs, tried with a small one.

Its report is what a user attaches to say "verified on hardware".
"""

from __future__ import annotations

import datetime
import json
import os
import tempfile
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy as np

from yardarm_runtime import latency, tensorrt
from yardarm_runtime.engines import Place, open_engine, opening
from yardarm_runtime.problems import Problem
from yardarm_runtime.selftest import detect, model
from yardarm_runtime.tensorrt.generation import generation_of

SCHEMA = "yardarm.selftest/1"
RUNS, WARMUP = 50, 5

NONE = "none, nothing here can run a model"

Tell = Callable[[str], None]


class Absent(Exception):
    """Something is not there, which is no failure."""


class Route(NamedTuple):
    """A way to run a bundle: its target, and whether types have to stand in the file."""

    name: str
    target: str
    typed: bool = True


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
    tell("failed: %s" % ", ".join(failed) if failed else "nothing failed")
    return {
        "schema": SCHEMA,
        "routes": [route.name for route in routes],
        "steps": steps.all,
        "ok": bool(routes) and not failed,
        "verified": verified,
    }


class Steps:
    """What was done, how it ended and how long it took."""

    def __init__(self, tell: Tell) -> None:
        self.all: List[Dict[str, Any]] = []
        self._tell = tell

    def do(self, name: str, action: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
        """What the action found, {} where it failed."""
        begun = time.perf_counter()
        found: Dict[str, Any] = {}
        ok: Optional[bool] = True
        try:
            found = action()
            detail = _said(found)
        except Absent as error:
            ok, detail = None, str(error)
        except (Problem, OSError, MemoryError, ImportError, RuntimeError) as error:
            ok, detail = False, str(error) or type(error).__name__
        seconds = round(time.perf_counter() - begun, 3)
        step = {"name": name, "ok": ok, "detail": detail, "seconds": seconds}
        self.all.append(dict(step, figures=found) if found else step)
        mark = {True: "ok", False: "FAILED", None: "not there"}[ok]
        self._tell("%-9s %s: %s (%.1f s)" % (mark, name, detail, seconds))
        return found


def _said(found: Dict[str, Any]) -> str:
    known = {name: value for name, value in found.items() if value not in (None, "")}
    return ", ".join("%s %s" % (name, value) for name, value in known.items())


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
    answers = [_tried(route, kind, place, steps) for kind in model.KINDS]  # all of them
    return all(answers)


def _tried(route: Route, kind: str, place: Place, steps: Steps) -> bool:
    made = model.make(kind, route.typed)
    name = "%s, %s" % (route.name, kind)
    if place.engines is not None:
        os.makedirs(place.engines, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".selftest-", dir=place.engines) as folder:
        bundle = os.path.join(folder, "bundle")
        os.makedirs(bundle)
        _write(bundle, made.file, _manifest(route, kind))
        inside = Place(os.path.join(folder, "engines"), place.device)
        return bool(steps.do(name, lambda: _measured(bundle, inside, made, kind)))


def _manifest(route: Route, kind: str) -> Dict[str, Any]:
    flags = {"float32": [], "float16": ["fp16"], "int8": ["int8"]}[kind]
    told = {
        "version": "",
        "strongly_typed": route.typed,
        "flags": [] if route.typed else flags,
        "float32": [],
        "profiles": {},
        "workspace_mb": 256,
        "optimization_level": 3,
    }
    return {"target": route.target, "options": {"batch": 1}, "tensorrt": told}


def _write(bundle: str, file: bytes, manifest: Dict[str, Any]) -> None:
    with open(os.path.join(bundle, "model.onnx"), "wb") as stream:
        stream.write(file)
    with open(os.path.join(bundle, "manifest.json"), "w", encoding="utf-8") as text:
        json.dump(manifest, text)


def _measured(bundle: str, place: Place, made: model.Made, kind: str) -> Dict[str, Any]:
    """Load, which builds where that is needed; compare, and time.

    Raises:
        Problem: that failed, or the answer is wrong.
    """
    begun = time.perf_counter()
    engine = open_engine(bundle, 1, place, lambda _phase, _done, _total: None)
    try:
        figures = {"load_s": round(time.perf_counter() - begun, 3)}
        feeds = {model.INPUT: made.image}
        engine.check(feeds)
        error = _error(engine.run(feeds)[model.OUTPUT], made.scores)
        if not error <= model.TOLERANCE[kind]:
            raise Problem(
                "the answer is wrong: off by %.2g of the largest score, %.2g is allowed"
                % (error, model.TOLERANCE[kind])
            )
        bound = engine.bound(feeds)
        samples = latency.timed(bound.call, RUNS, WARMUP, lambda *_: None, bound.device_ns)
        figures.update(error=float("%.3g" % error), **_times(samples))
        about = engine.facts()
        return dict(figures, route=about["route"], **_of(about, "built_s", "notes"))
    finally:
        engine.close()


def _of(facts: Dict[str, Any], *names: str) -> Dict[str, Any]:
    return {name: facts[name] for name in names if facts.get(name)}


def _error(answer: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """The largest difference, as part of the largest score; NaN where it is none."""
    if answer.shape != expected.shape:
        return float("nan")
    return float(np.abs(answer.astype(np.float64) - expected).max() / np.abs(expected).max())


def _times(samples: latency.Samples) -> Dict[str, float]:
    """Medians in microseconds."""
    wall = {"wall_us": float(np.median(samples.durations(0, samples.count)) / 1e3)}
    if samples.device is None:
        return wall
    return dict(wall, device_us=float(np.median(samples.device) / 1e3))
