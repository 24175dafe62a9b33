"""golden: does the model answer its golden inputs as it did where it was compiled?"""

from __future__ import annotations

import os
import time
from typing import Any, Dict

import numpy as np

from yardarm_runtime.arrays import Archive
from yardarm_runtime.engines import Engine, in_batches
from yardarm_runtime.problems import Problem


def check(engine: Engine, bundle: str) -> Dict[str, Any]:
    """Compare every output of `golden.npz` with the engine's answer.

    An output is right where |a - b| <= atol + rtol |b| for every element, b being the
    expected one. Reported per output: the error that is largest against what is allowed
    there, and that allowance; None where an answer has another shape or is not finite.

    Raises:
        Problem: `golden.npz` is missing, damaged or does not fit the model.
    """
    begun = time.perf_counter()
    with Archive(os.path.join(bundle, "golden.npz")) as archive:
        golden = archive.read_all()
    feeds = _named(golden, "input/")
    expected = _named(golden, "output/")
    tolerances = _named(golden, "tolerance/")
    known = {port.name for port in engine.outputs}
    if not expected or set(expected) != set(tolerances) or not set(expected) <= known:
        raise Problem("golden.npz: outputs %s don't fit the model" % sorted(expected))
    answers = in_batches(engine, feeds)
    outputs = {name: compare(answers[name], expected[name], tolerances[name]) for name in expected}
    return {
        "ok": all(item["ok"] for item in outputs.values()),
        "outputs": outputs,
        "seconds": round(time.perf_counter() - begun, 6),
    }


def _named(golden: Dict[str, Any], prefix: str) -> Dict[str, Any]:
    return {name[len(prefix) :]: golden[name] for name in golden if name.startswith(prefix)}


def compare(answer: Any, expected: Any, tolerance: Any) -> Dict[str, Any]:
    """`answer` against `expected`, both [G, …]; `tolerance` is float64 [2]: atol, rtol."""
    if answer.shape != expected.shape:
        return {"ok": False, "max_error": None, "allowed": None}
    ours, theirs = answer.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    ours, theirs = ours[~same], theirs[~same]
    atol, rtol = float(tolerance[0]), float(tolerance[1])
    if not ours.size:
        return {"ok": True, "max_error": 0.0, "allowed": atol}
    error = np.abs(ours - theirs)
    allowed = atol + rtol * np.abs(theirs)
    if not np.isfinite(error).all():
        return {"ok": False, "max_error": None, "allowed": None}
    worst = int(np.argmax(error - allowed))
    ok = bool(error[worst] <= allowed[worst])
    return {"ok": ok, "max_error": float(error[worst]), "allowed": float(allowed[worst])}
