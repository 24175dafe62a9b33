"""probe: how fast any model is here, as a whole and operator by operator."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any, Callable, Dict

from yardarm_runtime import arrays, bench, latency
from yardarm_runtime.engines import NOWHERE, Engine, Place, open_engine
from yardarm_runtime.problems import Problem
from yardarm_wire.files import FILES

Progress = Callable[[str, int, int], None]


def run(
    bundle: str,
    plan_file: str,
    data_file: str,
    output: str,
    progress: Progress,
    *,
    place: Place = NOWHERE,
) -> None:
    """Write samples.npy as bench does; where the plan asks for `operators`, that many
    profiled runs, also operators.json, the median microseconds of each operator by name, and
    what else the engine writes of the graph that runs. An engine that doesn't tell writes none.

    Raises:
        Problem: plan, model or data can't be used.
        OSError: the output can't be written.
    """
    plan = bench.read_plan(plan_file)
    os.makedirs(output, exist_ok=True)

    def between(samples: latency.Samples, _begin: int, end: int) -> None:
        progress("latency", end, samples.count)

    with closing(open_engine(bundle, plan["threads"], place, progress)) as engine:
        with arrays.Archive(data_file) as data:
            first = bench.first_sample(engine, plan, data)
        bench.write(bench.timed(engine, first, plan, between), output)
        if plan.get("operators"):
            _write_operators(engine, first, plan, output)


def _write_operators(
    engine: Engine, first: Dict[str, Any], plan: Dict[str, Any], output: str
) -> None:
    runs = plan["operators"]
    if type(runs) is not int or runs < 1:
        raise Problem("the plan's operators is %r, not an integer from 1" % (runs,))
    times = engine.operators(first, runs, plan["warmup"], output)
    if times is not None:
        FILES.write(os.path.join(output, "operators.json"), json.dumps(times).encode())
