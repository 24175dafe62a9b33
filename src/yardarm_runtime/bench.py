"""bench: run a fixed plan and write down everything that was measured, raw."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

import numpy as np

from yardarm_runtime import arrays, environment, latency
from yardarm_runtime.accuracy import outputs_over
from yardarm_runtime.counters import Counters, CountersFile
from yardarm_runtime.engines import NOWHERE, Engine, Place, fed_at, group, open_engine, samples_of
from yardarm_runtime.problems import Problem
from yardarm_wire.files import FILES

PLAN = "yardarm.plan/1"
RUN = "yardarm.run/1"

Progress = Callable[[str, int, int], None]


class Request(NamedTuple):
    """What to run and where: paths, and how long the imports took."""

    bundle: str
    plan: str
    data: str
    output: str
    counters: Optional[str]
    import_ms: float
    place: Place = NOWHERE


def run(request: Request, progress: Progress) -> None:
    """Write result.json, samples.npy and outputs.npz into the output folder.

    Timed is one inference of the first sample, inputs and outputs bound beforehand. Where the
    device itself tells how long it worked, device_times.npy has that: int64 [n] in ns.

    Raises:
        Problem: plan, bundle or data can't be used.
        OSError: the output can't be written.
    """
    plan = read_plan(request.plan)
    os.makedirs(request.output, exist_ok=True)
    before = environment.snapshot()
    cores = len(os.sched_getaffinity(0))
    outputs = os.path.join(request.output, "outputs.npz")
    with arrays.Archive(request.data) as data:
        begun = time.perf_counter()
        engine = open_engine(request.bundle, plan["threads"], request.place, progress)
        cold = {"import_ms": request.import_ms, "load_ms": _ms_since(begun)}
        try:
            first = first_sample(engine, plan, data)
            begun = time.perf_counter()
            engine.run(first)
            cold["first_ms"] = _ms_since(begun)
            floor = latency.floor()
            samples = timed(engine, first, plan, _counted(request.counters, progress))
            # Nobody times the answers to the evaluation data, so every core may help.
            engine = engine.for_answers(max(cores, plan["threads"]))
            outputs_over(engine, data, plan, outputs, progress)
            about = {"engine": engine.facts(), "versions": {**_versions(), **engine.versions()}}
        finally:
            engine.close()
    result = {
        "schema": RUN,
        "plan": plan,
        "cold": cold,
        **floor,
        **about,
        "cpu": {"machine": platform.machine(), "cores": cores},
        "environment": {"before": before, "after": environment.snapshot()},
    }
    write(samples, request.output)
    FILES.write(os.path.join(request.output, "result.json"), json.dumps(result).encode())


def write(samples: latency.Samples, output: str) -> None:
    """samples.npy, and device_times.npy where there are such."""
    np.save(os.path.join(output, "samples.npy"), samples.table())
    if samples.device is not None:
        np.save(os.path.join(output, "device_times.npy"), samples.device)


def _ms_since(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1e3, 3)


def read_plan(path: str) -> Dict[str, Any]:
    """Raises Problem naming what is wrong in the plan."""
    try:
        with open(path, encoding="utf-8") as stream:
            plan = json.load(stream)
    except (OSError, ValueError) as error:
        raise Problem("the plan can't be read: %s" % error) from None
    if not isinstance(plan, dict) or plan.get("schema") != PLAN:
        raise Problem("the plan is not a %s" % PLAN)
    if plan.get("scenario") != "single-stream":
        raise Problem("the plan's scenario is %r, not single-stream" % plan.get("scenario"))
    for key, least in (("iterations", 1), ("warmup", 0), ("threads", 1), ("batch", 1)):
        if type(plan.get(key)) is not int or plan[key] < least:
            raise Problem(
                "the plan's %s is %r, not an integer from %d" % (key, plan.get(key), least)
            )
    if not isinstance(plan.get("inputs"), list):
        raise Problem("the plan's inputs are not a list of names")
    return plan


def first_sample(engine: Engine, plan: Dict[str, Any], data: arrays.Archive) -> Dict[str, Any]:
    """The first sample, as often as the model's fixed batch asks for."""
    constant = engine.layout.constant
    feeds = {
        name: data.read(name) if name in constant else data.samples(name).read(1)
        for name in plan["inputs"]
    }
    samples_of(engine, feeds)
    first = fed_at(engine, feeds, 0, group(engine, 1))
    engine.check(first)
    return first


def timed(
    engine: Engine, first: Dict[str, Any], plan: Dict[str, Any], between: latency.Between
) -> latency.Samples:
    """As many inferences as the plan asks for. Raises Problem where one fails."""
    try:
        bound = engine.bound(first)
        runs, warmup = plan["iterations"], plan["warmup"]
        return latency.timed(bound.call, runs, warmup, between, bound.device_ns)
    except engine.refusals as error:
        raise Problem("the model failed while it was timed: %s" % error) from None


def _counted(counters_path: Optional[str], progress: Progress) -> latency.Between:
    counters = Counters()
    file = CountersFile(counters, counters_path) if counters_path else None

    def between(samples: latency.Samples, begin: int, end: int) -> None:
        counters.answered_all((samples.durations(begin, end) / 1e3).tolist())
        if file:
            file.update(force=end == samples.count)
        progress("latency", end, samples.count)

    return between


def _versions() -> Dict[str, str]:
    return {"python": platform.python_version(), "numpy": np.__version__}
