"""batch: answer every sample in a file, and write the answers to another."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Callable

from yardarm_runtime import arrays
from yardarm_runtime.accuracy import outputs_over
from yardarm_runtime.engines import Place, open_engine
from yardarm_runtime.problems import Problem
from yardarm_wire.files import FILES

_AT_ONCE = 32
"""Samples fed together where the bundle doesn't say how many."""


def run(
    bundle: str,
    data: str,
    output: str,
    *,
    threads: int,
    place: Place,
    progress: Callable[[str, int, int], None],
) -> None:
    """Read the model's inputs from the npz `data`, sample axis first, and write its outputs to
    the npz `output`, which afterwards is whole or as it was before.

    Raises:
        Problem: bundle or data can't be used.
        OSError: the output can't be written.
    """
    target = os.path.abspath(output)
    if not os.path.isdir(os.path.dirname(target)):
        raise Problem("there is no folder %s to write to" % os.path.dirname(target))
    partial = target + ".partial"
    try:
        with arrays.Archive(data) as archive:
            with closing(open_engine(bundle, threads, place, progress)) as engine:
                names = [port.name for port in engine.inputs]
                plan = {"inputs": names, "batch": engine.layout.batch or _AT_ONCE}
                outputs_over(engine, archive, plan, partial, progress)
        FILES.rename(partial, target)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
