"""probe: how fast any model is here, as a whole and operator by operator."""

from __future__ import annotations

import glob
import json
import os
import statistics
from typing import Any, Callable, Dict, List

import numpy as np

from yardarm_runtime import arrays, latency
from yardarm_runtime.bench import first_sample, read_plan
from yardarm_runtime.engine import REFUSALS, Engine, settings
from yardarm_runtime.problems import Problem
from yardarm_wire.files import FILES

SUFFIX = "_kernel_time"

Progress = Callable[[str, int, int], None]


def run(bundle: str, plan_file: str, data_file: str, output: str, progress: Progress) -> None:
    """Write samples.npy as bench does; where the plan asks for `operators`, that many
    profiled runs, also optimised.onnx, the graph that runs, and operators.json, the median
    microseconds of each of its nodes by name.

    Raises:
        Problem: plan, model or data can't be used.
        OSError: the output can't be written.
    """
    plan = read_plan(plan_file)
    os.makedirs(output, exist_ok=True)
    with arrays.Archive(data_file) as data:
        engine = Engine(bundle, plan["threads"])
        first = first_sample(engine, plan, data)
    samples = _timed(engine, first, plan, progress)
    np.save(os.path.join(output, "samples.npy"), samples.table())
    if plan.get("operators"):
        times = _operators(bundle, first, plan, output)
        FILES.write(os.path.join(output, "operators.json"), json.dumps(times).encode())


def _timed(
    engine: Engine, first: Dict[str, Any], plan: Dict[str, Any], progress: Progress
) -> latency.Samples:
    def between(samples: latency.Samples, _begin: int, end: int) -> None:
        progress("latency", end, samples.count)

    try:
        return latency.timed(engine.bound(first), plan["iterations"], plan["warmup"], between)
    except REFUSALS as error:
        raise Problem("the model failed while it was timed: %s" % error) from None


def _operators(
    bundle: str, first: Dict[str, Any], plan: Dict[str, Any], output: str
) -> Dict[str, float]:
    runs, warmup = plan["operators"], plan["warmup"]
    if type(runs) is not int or runs < 1:
        raise Problem("the plan's operators is %r, not an integer from 1" % (runs,))
    prefix = os.path.join(output, "profile")
    options = settings(plan["threads"])
    options.enable_profiling = True
    options.profile_file_prefix = prefix
    options.optimized_model_filepath = os.path.join(output, "optimised.onnx")
    engine = Engine(bundle, options=options)
    for _index in range(warmup + runs):
        engine.run(first)
    written = engine.session.end_profiling() or glob.glob(prefix + "*")[0]
    with open(written, encoding="utf-8") as stream:
        events = json.load(stream)
    os.unlink(written)  # megabytes that nobody asks for
    return medians(events, warmup)


def medians(events: List[Dict[str, Any]], warmup: int) -> Dict[str, float]:
    """Median microseconds by node name, without the first `warmup` times of each node."""
    times = {}  # type: Dict[str, List[float]]
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(SUFFIX):
            times.setdefault(event["name"][: -len(SUFFIX)], []).append(event["dur"])
    return {name: statistics.median(held[warmup:] or held) for name, held in times.items()}
