"""What onnxruntime makes of a model, and how long each of its kernels takes on this machine.

An engine doesn't run the graph that it is given: it fuses nodes, reorders memory and takes
quantized nodes together. The graph that it runs is saved beside the profile, so that times
can be told by tensors and not only by names.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import ModelProto

from yardarm.artifacts import Layout
from yardarm.compile.session import Engine, Feed, settings
from yardarm.errors import VerificationFailed

RUNS = 60
WARMUP = 10
SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class Kernel:
    """One node of the graph that runs: `us` is its median time of one inference."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    us: float

    @staticmethod
    def of(row: Mapping[str, Any]) -> Kernel:
        """From a row of a probe's `operators`."""
        return Kernel(
            row["name"], row["op"], tuple(row["inputs"]), tuple(row["outputs"]), row["us"]
        )


def profiled(
    model: ModelProto, feed: Feed, layout: Layout, *, runs: int = RUNS
) -> tuple[Kernel, ...]:
    """Run one sample `runs` times on one thread, after a few unmeasured times.

    Raises:
        Unsupported, VerificationFailed: as `Engine`, or onnxruntime wrote no profile.
    """
    with tempfile.TemporaryDirectory(prefix="yardarm-profile-") as folder:
        options = _profiling(Path(folder))
        engine = Engine(model, options, layout=layout)
        for _ in range(WARMUP + runs):
            engine.run(feed)
        del engine  # the profile is written when the session goes
        return read(Path(folder))


def _profiling(folder: Path) -> onnxruntime.SessionOptions:
    options = settings()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    return options


def read(folder: Path) -> tuple[Kernel, ...]:
    """The kernels from a folder with `optimised.onnx` and one `profile*.json`.

    Raises:
        VerificationFailed: one is missing or not what onnxruntime writes.
    """
    try:
        (file,) = folder.glob("profile*.json")
        events = json.loads(file.read_text(encoding="utf-8"))
        return kernels(onnx.load(folder / "optimised.onnx"), medians(events))
    except (OSError, ValueError, KeyError, TypeError, DecodeError) as error:
        raise VerificationFailed(f"the profile can't be read: {error}") from None


def medians(events: Sequence[Mapping[str, Any]], warmup: int = WARMUP) -> dict[str, float]:
    """Median microseconds by node name, from the events of onnxruntime's profiler. The first
    `warmup` times of each node don't count."""
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(SUFFIX):
            times[event["name"].removesuffix(SUFFIX)].append(event["dur"])
    return {name: statistics.median(held[warmup:] or held) for name, held in times.items()}


def kernels(optimised: ModelProto, times: Mapping[str, float]) -> tuple[Kernel, ...]:
    """The nodes that run, in their order. What runs inside of an If or Loop is in the time of
    the node that holds it.

    Nodes that onnxruntime made of a function have no names. Their times come as operator and
    number, and the numbers grow along the graph.
    """
    unnamed = _numbered(set(times) - {node.name for node in optimised.graph.node})
    found = []
    for node in optimised.graph.node:
        waiting = unnamed.get(node.op_type, [])
        name = node.name or (waiting.pop(0) if waiting else "")
        if name in times:
            ends = tuple(node.input), tuple(node.output)
            found.append(Kernel(name, node.op_type, *ends, float(times[name])))
    return tuple(found)


def _numbered(names: set[str]) -> dict[str, list[str]]:
    """Names like `Mul_17` by operator, in the order of their numbers."""
    parts = [(*name.rpartition("_")[::2], name) for name in names]
    ordered = sorted((int(number), op, name) for op, number, name in parts if number.isdecimal())
    found: dict[str, list[str]] = {}
    for _, op, name in ordered:
        found.setdefault(op, []).append(name)
    return found


def latencies(
    models: Sequence[ModelProto], feed: Feed, layout: Layout, *, runs: int = RUNS
) -> tuple[float, ...]:
    """Microseconds of one inference each, unprofiled: the lower quartile, for whatever else
    runs on the machine only adds. The models take turns, so that it hits all of them."""
    engines = [Engine(model, settings(), layout=layout) for model in models]
    times: list[list[int]] = [[] for _ in engines]
    for _ in range(WARMUP + runs):
        for engine, held in zip(engines, times, strict=True):
            begun = perf_counter_ns()
            engine.run(feed)
            held.append(perf_counter_ns() - begun)
    return tuple(statistics.quantiles(held[WARMUP:], n=4)[0] / 1e3 for held in times)
