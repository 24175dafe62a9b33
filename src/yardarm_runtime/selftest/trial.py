"""A route tried with the small model: loaded, compared and timed."""

from __future__ import annotations

import json
import os
import tempfile
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

import numpy as np

from yardarm_runtime import latency
from yardarm_runtime.engines import Place, open_engine
from yardarm_runtime.problems import Problem
from yardarm_runtime.selftest import model
from yardarm_runtime.selftest.steps import Steps

RUNS, WARMUP = 50, 5

Progress = Callable[[str, int, int], None]


class Route(NamedTuple):
    """A way to run a bundle: its target, and whether types have to stand in the file."""

    name: str
    target: str
    typed: bool = True


def tried(route: Route, kind: str, place: Place, steps: Steps) -> bool:
    """Whether the route answers rightly in that type."""
    made = model.make(kind, route.typed)
    name = "%s, %s" % (route.name, kind)
    if place.engines is not None:
        os.makedirs(place.engines, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".selftest-", dir=place.engines) as folder:
        bundle = os.path.join(folder, "bundle")
        os.makedirs(bundle)
        _write(bundle, made.file, _manifest(route, kind))
        inside = Place(os.path.join(folder, "engines"), place.device)
        return bool(steps.do(name, lambda: _measured(bundle, inside, made, steps.goes_on)))


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


def _measured(bundle: str, place: Place, made: model.Made, progress: Progress) -> Dict[str, Any]:
    """Load, which builds where that is needed; compare, and time.

    Raises:
        Problem: that failed, or the answer is wrong.
    """
    begun = time.perf_counter()
    engine = open_engine(bundle, 1, place, progress)
    try:
        figures = {"load_s": round(time.perf_counter() - begun, 3)}
        feeds = {model.INPUT: made.image}
        engine.check(feeds)
        answer = engine.run(feeds)[model.OUTPUT]
        figures["error"] = _compared(answer, made.scores, made.tolerance, "numpy's")
        about = engine.facts()
        beside = None if about["route"] == "onnxruntime" else _on_the_cpu(bundle, feeds)
        if beside is not None:
            told = _compared(answer, beside, made.tolerance, "onnxruntime's on the CPU")
            figures["error_beside_onnxruntime"] = told
        bound = engine.bound(feeds)
        samples = latency.timed(bound.call, RUNS, WARMUP, lambda *_: None, bound.device_ns)
        figures.update(_times(samples))
        return dict(figures, route=about["route"], **_of(about, "built_s", "notes"))
    finally:
        engine.close()


def _of(facts: Dict[str, Any], *names: str) -> Dict[str, Any]:
    return {name: facts[name] for name in names if facts.get(name)}


def _on_the_cpu(bundle: str, feeds: Dict[str, Any]) -> "Optional[np.ndarray[Any, Any]]":
    """What onnxruntime answers to the same; None where it isn't there."""
    try:
        from yardarm_runtime.engines.onnxruntime import OnnxRuntime
    except ImportError:
        return None
    return OnnxRuntime(bundle).run(feeds)[model.OUTPUT]


def _compared(
    answer: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], tolerance: float, whose: str
) -> float:
    """The error. Raises Problem where it is more than the tolerance."""
    error = _error(answer, expected)
    if not error <= tolerance:
        raise Problem(
            "the answer is wrong: off %s by %.2g of the largest score, %.2g is allowed"
            % (whose, error, tolerance)
        )
    return float("%.3g" % error)


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
