"""A measurement on a device: plan and data there, raw samples and telemetry back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yardarm import compile as compiler
from yardarm import datasets, deploy, measure, metrics, paths, telemetry
from yardarm.artifacts import Bundle, Release
from yardarm.datasets import Dataset
from yardarm.deploy import supply
from yardarm.digest import Digest, of_json
from yardarm.errors import InvalidInput, Refused, Unreachable
from yardarm.events import Note, Sink, silent, step
from yardarm.flow import deploy as deploy_flow
from yardarm.flow.device import Device, agent, at_work
from yardarm.flow.workspace import Workspace, own_folder
from yardarm.measure import Measured, Outputs
from yardarm.process import ProcessFailed, run
from yardarm.remote import Session

PIECE = 1 << 20


@dataclass(frozen=True)
class Benched:
    """A result (`yardarm.result/1`) and the folder that keeps it."""

    result: dict[str, Any]
    folder: Path


def bench_project(
    where: Path, host: str, sink: Sink = silent, *, profile: str | None = None
) -> Benched:
    """Measure the release of the project at `where`, which runs on `host`.

    Args:
        profile: the device profile to work for; default: what the device says it is.

    Raises:
        YardarmError: as `bench` does, and the steps before it.
    """
    with at_work(where, host, sink, profile=profile, purpose="yardarm bench") as (device, work):
        return bench(device, work, deploy_flow.release(device, work, sink), sink)


def bench(device: Device, opened: Workspace, release: Release, sink: Sink) -> Benched:
    """Measure a release that runs on a device.

    Raises:
        Refused: the device runs another release, or none; or it has no engine for the release
            any more, since its power mode has changed, for example.
        VerificationFailed: the run failed on the device.
        Unreachable: the connection broke; what was fetched until then is discarded.
    """
    bundle = release.bundles["main"]
    dataset = _evaluation(opened)
    plan = measure.plan(opened.project, bundle.manifest, emulated=device.emulated)
    archive = paths.state() / "telemetry"
    with agent(device) as session:
        deploy.claim(session, f"yardarm bench {opened.project.name}")
        expect_running(session, opened, release)
        supply.expect(session, release)
        before = telemetry.pull(session, archive).archive
        newest = before.last()
        with _scratch(opened) as scratch:
            _measure(session, opened, dataset, plan, scratch=scratch, sink=sink)
            measured = measure.read(scratch)
        kept = telemetry.pull(session, archive).archive
    # Read from what is kept: somebody else may have pulled some of them meanwhile.
    records = kept.after(newest if kept.file == before.file else 0)
    body = measure.result(
        Measured(
            project=opened.project.name,
            profile=opened.profile.name,
            host=device.connection.address.name,
            emulated=device.emulated,
            facts=device.facts,
            release=release,
            bundle=bundle,
            image=release.image,
            run=measured,
            labels=dataset.read(opened.project.data.labels),
            host_outputs=_host_outputs(opened, bundle, dataset),
            telemetry=records,
            revision=_revision(opened.project.root),
            created=datetime.now(UTC),
            metric=opened.project.metric,
        )
    )
    results = measure.folder_of(opened.project.root)
    _tell_changes(results, body, sink)
    saved = measure.save(body, measured.samples, results)
    opened.store.record_step(_key(device, release, plan), {"folder": saved.name})
    return Benched(body, saved)


def _tell_changes(results: Path, body: dict[str, Any], sink: Sink) -> None:
    try:
        changed = measure.changes(measure.latest(results), body)
    except InvalidInput:  # nothing was measured yet, or it can't be read
        return
    if changed:
        text = "the device is not as it was when it was measured last: " + "; ".join(changed)
        sink(Note(text, "warning"))


def known(device: Device, opened: Workspace, release: Release, sink: Sink) -> Benched | None:
    """The last result of the same plan for this release on this device; None: there is none.

    Whether the device still is as it was then, the caller knows.
    """
    plan = measure.plan(opened.project, release.bundles["main"].manifest, emulated=device.emulated)
    found = opened.store.step(_key(device, release, plan))
    if found is None:
        return None
    folder = measure.folder_of(opened.project.root) / found["folder"]
    try:
        result = measure.load(folder)
    except InvalidInput:  # gone, damaged, or of another version of Yardarm
        return None
    with step(sink, "bench", "bench") as running:
        running.cached = True
        running.detail = f"as measured; `yardarm bench {device.connection.address.name}` repeats it"
    return Benched(result, folder)


@contextmanager
def _scratch(opened: Workspace) -> Iterator[Path]:
    """A folder of the project for what comes back. The lock makes it ours: one that is there
    is what a killed run left."""
    folder = own_folder(opened.project.root) / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _key(device: Device, release: Release, plan: dict[str, Any]) -> Digest:
    host = device.connection.address.name
    return of_json({"step": "bench/1", "release": release.digest, "host": host, "plan": plan})


def _evaluation(opened: Workspace) -> Dataset:
    project = opened.project
    return datasets.open_dataset(project.path(project.data.evaluation), project.layout)


def expect_running(session: Session, opened: Workspace, release: Release) -> None:
    """Raises Refused where the device runs something else."""
    status = session.request("status").header
    if status["current"] == release.digest:
        return
    found = "nothing runs there"
    if status["current"]:
        same = status["project"] == opened.project.name
        found = "the device runs " + (
            "another release of the project" if same else f"another project: {status['project']}"
        )
    raise Refused(found, where=session.address.name, hint=f"yardarm deploy {session.address.name}")


def _measure(
    session: Session,
    opened: Workspace,
    dataset: Dataset,
    plan: dict[str, Any],
    *,
    scratch: Path,
    sink: Sink,
) -> None:
    data = measure.export(dataset, plan["inputs"], opened.store)
    planned = deploy.survey(session, {data.digest: data.size})
    if planned.transfers:
        deploy.transfer(session, opened.store, planned, sink, "send inputs")
    with step(sink, "bench", "bench") as running:
        for frame in session.watch("bench", plan=plan, data=data.digest):
            told = frame.header.get("progress")
            if told:
                running.advance(told["done"], told["total"], told["phase"])
        for name, size in frame.header["files"].items():
            fetch(session, name, size, scratch)
        running.detail = f"{dataset.samples} samples scored, {_timed(opened, plan)}"


def _timed(opened: Workspace, plan: dict[str, Any]) -> str:
    asked, timed = opened.project.bench.iterations, plan["iterations"]
    reason = f" of {asked:,} asked: virtual device" if timed < asked else ""
    return f"{timed:,} inferences timed{reason}"


def fetch(session: Session, name: str, size: int, target: Path) -> None:
    """Copy one output file; its name is the device's word, so only its last part counts."""
    with (target / Path(name).name).open("wb") as stream:
        while (offset := stream.tell()) < size:
            piece = session.request("read", name=name, offset=offset, size=PIECE).payload
            if not piece:
                raise Unreachable(f"{name} ended early", where=session.address.name)
            stream.write(piece)


def _host_outputs(opened: Workspace, bundle: Bundle, dataset: Dataset) -> Outputs:
    """What the same file answers on this machine to the same samples; the outputs that count."""
    layout = opened.project.layout
    engine = compiler.Engine(opened.store.path(bundle.blobs["model.onnx"].digest), layout=layout)
    names = metrics.wanted(opened.project.metric, engine.outputs)
    parts = [
        {name: answers[name] for name in names} for _, answers in engine.over(dataset, layout.size)
    ]
    return {name: compiler.joined([part[name] for part in parts]) for name in names}


def _revision(root: Path) -> str | None:
    try:
        done = run(["git", "rev-parse", "HEAD"], cwd=root, check=False, timeout=10)
    except ProcessFailed:
        return None
    return done.text.strip() if done.code == 0 else None
