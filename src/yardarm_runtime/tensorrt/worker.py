"""A child process that builds an engine, or has it answer for the first time.

Both take much memory, which ends with the process, and both may crash: then this process is
what dies. It is asked by one JSON argument, and answers with JSON lines: {"progress": [phase,
done, total]} and at last {"done": {…}} or {"problem": TEXT}.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from yardarm_runtime import manifest
from yardarm_runtime.cuda import open_cuda
from yardarm_runtime.engines.ports import Port, declared
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt import load, memory, options
from yardarm_runtime.tensorrt.builder import build
from yardarm_runtime.tensorrt.runner import Runner
from yardarm_wire import engines
from yardarm_wire.files import FILES

DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""

Progress = Callable[[str, int, int], None]


def build_plan(request: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Write engine.plan into the folder `partial`, and what was measured into the timing cache.

    Raises:
        Problem: the model can't be built, or the plan not be written.
    """
    trt = load()
    wishes = options.of(manifest.read(request["bundle"]))
    path = os.path.join(request["bundle"], "model.onnx")
    with open(path, "rb") as stream:
        model = stream.read()
    workspace, note = _pool(wishes.workspace_mb, len(model))
    if note:
        progress(note, 0, 0)
    kept = engines.timing_cache(request["engines"], trt.__version__, request["sm"])
    built = build(
        trt,
        model,
        wishes,
        progress=progress,
        workspace=workspace,
        timing=_bytes(kept),
        path=path,
    )
    notes = built.notes + ([note] if note else [])
    try:
        FILES.write(os.path.join(request["partial"], engines.PLAN), built.plan)
        if built.timing:
            FILES.write(kept, built.timing)
    except OSError as error:
        raise Problem("the engine can't be kept in %s: %s" % (request["engines"], error)) from None
    return {"built_s": round(built.seconds, 3), "pool_mb": workspace >> 20, "notes": notes}


def _pool(asked_mb: int, model: int) -> Tuple[int, Optional[str]]:
    """On a Jetson CPU and GPU share one memory, of which CUDA counts only what nobody caches."""
    cuda = open_cuda()
    free = memory.available() if cuda.integrated() else cuda.memory()[0]
    if free is None:
        return asked_mb * memory.MIB, None
    return memory.pool(asked_mb * memory.MIB, free, model, memory.users())


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def answer(request: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Run the plan in `partial` on zeros, in its smallest and its largest shapes.

    Raises:
        Problem: it doesn't load, or doesn't answer.
    """
    begun = time.perf_counter()
    ports = declared(manifest.read(request["bundle"]))
    with open(os.path.join(request["partial"], engines.PLAN), "rb") as stream:
        plan = stream.read()
    runner = Runner(load(), open_cuda(), plan, ports)
    try:
        for bound in (_least, _most):
            feeds = {port.name: np.zeros(bound(port), port.dtype) for port in runner.inputs}
            runner.run(feeds)
    finally:
        runner.close()
    return {"seconds": round(time.perf_counter() - begun, 3)}


def _least(port: Port) -> Tuple[int, ...]:
    return port.least or tuple(axis or 1 for axis in port.shape)


def _most(port: Port) -> Tuple[int, ...]:
    return port.most or tuple(axis or 1 for axis in port.shape)


WORK = {"build": build_plan, "answer": answer}


def perform(request: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]) -> int:
    """The exit code: 0 done, 3 with a problem told."""

    def progress(phase: str, done: int, total: int) -> None:
        tell({"progress": [phase, done, total]})

    try:
        tell({"done": WORK[request["do"]](request, progress)})
        return 0
    except Problem as error:
        tell({"problem": str(error)})
    except (OSError, MemoryError) as error:
        tell({"problem": "%s: %s" % (type(error).__name__, error)})
    return 3


def main(words: List[str]) -> int:
    request = json.loads(words[0])
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != request["parent"]:
        return 3
    # Libraries write to stdout as they like: it becomes stderr, and the answers keep their own.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(value: Dict[str, Any]) -> None:
        channel.write(json.dumps(value) + "\n")
        channel.flush()

    return perform(request, tell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
