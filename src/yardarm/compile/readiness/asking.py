"""What the real parser and builder of TensorRT-RTX say of a model, on this CPU.

It is a newer relative of the TensorRT on Jetsons, builds for other GPUs, and runs nothing
here: it never says that a model runs on a device.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, TensorProto

from yardarm import process
from yardarm.compile.normalising import graphs
from yardarm.compile.readiness import tables
from yardarm.compile.readiness.findings import Finding, Severity
from yardarm.compile.readiness.reading import Shapes
from yardarm.profiles import Release

PROGRAM = Path(__file__).with_name("answering.py")
PATIENCE = 300.0  # seconds
LARGEST = 100_000_000  # bytes of a model that is built as well as parsed
NEWEST = (10, 13)  # since when its refusal is taken for the target's
ASKED = (10, 0)  # older versions are too far from it
AMPERE, BLACKWELL = 86, 120
LOW = frozenset({TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2, TensorProto.FLOAT4E2M1})
# Of its compiler for other GPUs, and no rule that the model breaks: a GRU before an LSTM in float16
# is parsed and not built by 1.7.
OWN_FAULTS = ("Internal Error", "Error Code 10:", "Error Code 1: Myelin")
LINES = 3  # of a refusal that are quoted


@dataclass(frozen=True)
class Question:
    """A model, whether to build it, and the profiles of its dynamic inputs."""

    model: ModelProto
    build: bool = True
    profiles: Shapes | None = None


@dataclass(frozen=True)
class Answer:
    """Attributes:
    problems: what stands against the model, each with "node", "op" and "what".
    size: bytes of the engine that was built.
    """

    accepted: bool
    problems: tuple[dict[str, str], ...]
    size: int = 0


def is_asked(release: Release) -> bool:
    """Whether TensorRT-RTX is installed, and near enough to the release's TensorRT."""
    near = tables.version(release.tensorrt) >= ASKED
    return near and util.find_spec("tensorrt_rtx") is not None


@cache
def label() -> str:
    """Its name and version."""
    for package in ("tensorrt-rtx-cu13", "tensorrt_rtx"):
        try:
            return f"TensorRT-RTX {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return "TensorRT-RTX"


def oracle(
    model: ModelProto,
    release: Release,
    *,
    build: bool = True,
    profiles: Shapes | None = None,
) -> tuple[Finding, ...]:
    """Ask about one model; a crash of the parser is an answer, too, and no answer a warning.

    Args:
        release: what the model is for. A refusal is an error from TensorRT 10.13 on, a warning
            before, and a note where only a plugin is missing that TensorRT-RTX doesn't carry.
        build: build an engine too, where the model isn't large and its shapes are known.
    """
    undecided = profiles is None and dynamic(model)
    building = build and not undecided and model.ByteSize() <= LARGEST
    try:
        (answer,) = ask([Question(model, building, profiles)])
    except process.ProcessFailed as error:
        what, hint = f"{label()}: {error.what}", "nothing is known from it"
        return (Finding("", "", "oracle", Severity.WARNING, what, hint),)
    parts = "parser and builder accept" if building else "parser accepts"
    if answer.accepted:
        what = f"{label()}: {parts} the model on this CPU"
        hint = "a newer relative of the device's; nothing has run there"
        return (Finding("", "", "oracle", Severity.NOTE, what, hint),)
    return tuple(refusal(problem, release) for problem in answer.problems[:LINES])


def dynamic(model: ModelProto) -> bool:
    """Whether an input has an axis of no fixed length."""
    filled = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in filled]
    dims = [dim for value in fed for dim in value.type.tensor_type.shape.dim]
    return any(dim.dim_value <= 0 for dim in dims)


def refusal(problem: dict[str, str], release: Release) -> Finding:
    near = tables.version(release.tensorrt) >= NEWEST
    own = any(text in problem["what"] for text in OWN_FAULTS)
    severity = Severity.ERROR if near and not own else Severity.WARNING
    if "plugin" in problem["what"].lower():
        severity = Severity.NOTE
    what = f"{label()} refuses: {problem['what'][:300]}"
    hint = "it is newer than the device's TensorRT, which most likely refuses, too"
    return Finding(problem["node"], problem["op"], "oracle", severity, what, hint)


def ask(questions: Sequence[Question]) -> list[Answer]:
    """Put questions to one child process, and to another one after a crash.

    Raises:
        ProcessFailed: no answer in time.
    """
    with tempfile.TemporaryDirectory(prefix="yardarm-oracle-") as folder:
        lines = [_line(each, Path(folder) / f"{n}.onnx") for n, each in enumerate(questions)]
        answers: list[Answer] = []
        while len(answers) < len(lines):
            answers += _asked(lines[len(answers) :])
    return answers


def _asked(lines: Sequence[str]) -> Iterator[Answer]:
    """The answers of one child; the last is its crash, where it didn't live to the end."""
    stdin = "\n".join(lines).encode()
    done = process.run([sys.executable, str(PROGRAM)], stdin=stdin, timeout=PATIENCE, check=False)
    told = [json.loads(line) for line in done.text.splitlines() if line.startswith("{")]
    for body in told:
        yield Answer(body["accepted"], tuple(body["problems"]), body["bytes"])
    if len(told) < len(lines):
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        what = f"the parser ended with {done.code}: {''.join(last)[:200]}"
        yield Answer(False, ({"node": "", "op": "", "what": what},))


def _line(question: Question, file: Path) -> str:
    onnx.save(question.model, file)
    profiles: dict[str, Any] = {
        name: {end: list(shape) for end, shape in ends.items()}
        for name, ends in (question.profiles or {}).items()
    }
    asked = {"model": str(file), "build": question.build, "sm": capability(question.model)}
    return json.dumps(asked | {"profiles": profiles})


def capability(model: ModelProto) -> int:
    """A GPU that TensorRT-RTX builds for and that has the model's types."""
    low = any(tensor.data_type in LOW for tensor in graphs.tensors(model.graph))
    return BLACKWELL if low else AMPERE
