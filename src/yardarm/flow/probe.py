"""A device that is asked how fast models run on it, while they are compiled here."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from yardarm import datasets, deploy, measure
from yardarm.artifacts import MEDIA_OCTETS, Descriptor
from yardarm.compile.explaining.kernels import kernels
from yardarm.compile.sources import importing
from yardarm.digest import Digest, of_bytes
from yardarm.errors import VerificationFailed
from yardarm.events import Note, Sink, silent
from yardarm.flow import deploy as deploy_flow
from yardarm.flow.bench import fetch
from yardarm.flow.device import Device, agent, newer_than
from yardarm.flow.workspace import Workspace
from yardarm.remote import Session

RUNS = {"iterations": 662, "operators": 30}
"""Inferences of one model: what a 99th percentile needs."""

EMULATED_RUNS = {"iterations": 5, "warmup": 1, "operators": 3}
"""A virtual device takes hundreds of times as long for times that mean nothing."""


DAMAGED = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, DecodeError)


@dataclass(frozen=True)
class Answer:
    """What a device said of one model; `operators` is empty where they weren't asked for."""

    latency_ms: float
    p99_ms: float | None
    operators: list[dict[str, Any]]


class DeviceProbe:
    """`yardarm.artifacts.Probe`: models run in the image of the release that is there.

    The device is claimed at the first question, not before.
    """

    def __init__(self, device: Device, opened: Workspace, stack: ExitStack) -> None:
        self._device = device
        self._opened = opened
        self._stack = stack
        self._session: Session | None = None
        self._known: dict[Digest, Answer] = {}

    @property
    def name(self) -> str:
        return self._device.connection.address.name

    @property
    def emulated(self) -> bool:
        return self._device.emulated

    def latency_ms(self, model: bytes) -> float:
        """Raises as `operators`."""
        return self._answer(model).latency_ms

    def p99_ms(self, model: bytes) -> float | None:
        """Raises as `operators`."""
        return self._answer(model).p99_ms

    def _answer(self, model: bytes) -> Answer:
        known = self._known.get(of_bytes(model))
        return known or self._ask(model, operators=False)

    def operators(self, model: bytes) -> list[dict[str, Any]]:
        """Raises:
        Refused: nothing runs there, or a release of an older Yardarm.
        VerificationFailed: the device can't run the model; says why.
        Unreachable: the connection broke.
        """
        known = self._known.get(of_bytes(model))
        if known is None or not known.operators:
            known = self._ask(model, operators=True)
        return known.operators

    def _ask(self, model: bytes, *, operators: bool) -> Answer:
        session = self._claimed()
        blob = self._opened.store.put(model, MEDIA_OCTETS)
        names = [tensor.name for tensor in importing.inputs(onnx.load_from_string(model))]
        sample = self._sample(names)
        needed = {blob.digest: blob.size, sample.digest: sample.size}
        deploy.transfer(session, self._opened.store, deploy.survey(session, needed), silent)
        asked = {
            "model": blob.digest,
            "data": sample.digest,
            "plan": self._plan(names, operators=operators),
            "manifest": {"options": self._opened.project.layout.settings()},
        }
        with tempfile.TemporaryDirectory(prefix="yardarm-probe-") as folder:
            for name, size in _run(session, asked).items():
                fetch(session, name, size, Path(folder))
            answer = read(Path(folder))
        self._known[blob.digest] = answer
        return answer

    def _claimed(self) -> Session:
        if self._session is None:
            self._session = self._stack.enter_context(agent(self._device))
            deploy.claim(self._session, f"yardarm compile {self._opened.project.name}")
        return self._session

    def _sample(self, names: list[str]) -> Descriptor:
        project = self._opened.project
        dataset = datasets.open_dataset(project.path(project.data.evaluation), project.layout)
        first = next(dataset.batches(1, names))
        held = {
            name: np.asarray(values[0])[None] if values.dtype.hasobject else values
            for name, values in first.items()
        }
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **held)
        return self._opened.store.put(stream.getvalue(), MEDIA_OCTETS)

    def _plan(self, names: list[str], *, operators: bool) -> dict[str, Any]:
        inputs = {"inputs": [{"name": name} for name in names]}
        plan = measure.plan(self._opened.project, inputs, emulated=self.emulated)
        runs = RUNS | (EMULATED_RUNS if self.emulated else {})
        return plan | runs | ({} if operators else {"operators": 0})


@contextmanager
def probing(device: Device, opened: Workspace, sink: Sink) -> Iterator[DeviceProbe]:
    """A probe of a connected device. Where nothing runs yet, the project is deployed first,
    compiled without knowing the device, so that there is an image to run models in.

    Raises:
        YardarmError: as `deploy` does.
    """
    with agent(device) as session:
        runs = session.request("status").header["current"]
    if runs is None:
        host = device.connection.address.name
        sink(Note(f"nothing runs on {host} yet: the project is deployed there first"))
        made = deploy_flow.release(device, opened, sink)
        deploy_flow.deploy(device, opened, made, sink)
    with ExitStack() as stack:
        yield DeviceProbe(device, opened, stack)


def read(folder: Path) -> Answer:
    """What a probe wrote.

    Raises:
        VerificationFailed: a file is missing or damaged.
    """
    try:
        samples = np.load(folder / "samples.npy", allow_pickle=False)
        times = samples[:, 1] / 1e6
        told = measure.percentiles(times.tolist())
        rows: list[dict[str, Any]] = []
        if (folder / "operators.json").exists():
            spent = json.loads((folder / "operators.json").read_bytes())
            optimised = onnx.load(folder / "optimised.onnx")
            rows = [asdict(kernel) for kernel in kernels(optimised, spent)]
        return Answer(float(np.median(times)), told["p99"], rows)
    except DAMAGED as error:
        raise VerificationFailed(f"the device's times can't be read: {error}") from None


def _run(session: Session, asked: Mapping[str, Any]) -> Mapping[str, int]:
    """Names and sizes of the files that the run left."""
    with newer_than(session, "time models"):
        *_, last = session.watch("probe", **asked)
    files: Mapping[str, int] = last.header["files"]
    return files
