"""Releases onto a real arm64 system over real SSH: what must work, and what must not."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import tiny
from deploy_rig import PROFILE, Rig
from lab_fixtures import on
from yardarm import deploy, profiles, signing
from yardarm import telemetry as telemetry_room
from yardarm.artifacts import Release
from yardarm.deploy import release as releases
from yardarm.digest import of_bytes
from yardarm.errors import Busy, Refused, VerificationFailed
from yardarm.events import Event, Note, silent
from yardarm_wire.frames import Frame

pytestmark = pytest.mark.root

ASK = (
    "python3 -c 'import urllib.request as u; "
    'print(u.urlopen("http://127.0.0.1:8011/health").read().decode())\''
)


TAKEN = 8099


def running(rig: Rig) -> str:
    """Digest of the model that the device's service answers with."""
    model: str = json.loads(on(rig.address, ASK))["model"]
    return model


def model_of(release: Release) -> str:
    return release.bundles["main"].blobs["model.onnx"].digest


def test_a_release_runs_and_answers(rig: Rig, first: Release) -> None:
    with rig.session() as session:
        status = session.request("status").header
    assert status["current"] == first.digest
    assert status["supervisor"] and status["telemetry"]
    assert running(rig) == model_of(first)


def test_the_same_release_again_sends_and_changes_nothing(rig: Rig, first: Release) -> None:
    again = rig.release(tiny.bundle(rig.store))
    assert (again.version, again.signature) == (first.version, first.signature)
    with rig.session() as session:
        plan = deploy.push(session, again, rig.store, silent)
        done = deploy.activate(session, again, silent)
    assert plan.bytes == 0 and not done.changed


def test_a_changed_model_sends_the_bundle_only(rig: Rig, first: Release) -> None:
    made = rig.release(tiny.bundle(rig.store, 2.0))
    with rig.session() as session:
        plan = deploy.push(session, made, rig.store, silent)
        sent = {transfer.digest for transfer in plan.transfers}
        done = deploy.activate(session, made, silent)
        assert done.changed and done.previous == first.digest
        assert running(rig) == model_of(made)
        back = deploy.activate(session, first, silent, allow_downgrade=True)
        assert back.changed and session.request("status").header["previous"] == made.digest
    bundle = {blob.digest for blob in made.bundles["main"].blobs.values()}
    assert sent and sent <= bundle and made.image.config.digest not in sent


def test_wrong_golden_answers_are_not_activated(rig: Rig, first: Release) -> None:
    made = rig.release(tiny.bundle(rig.store, 3.0, answers=5.0))
    with rig.session() as session:
        deploy.push(session, made, rig.store, silent)
        with pytest.raises(VerificationFailed, match="golden"):
            deploy.activate(session, made, silent)
        assert session.request("status").header["current"] == first.digest
    assert running(rig) == model_of(first)


@contextmanager
def listener(rig: Rig, port: int) -> Iterator[None]:
    """Something else on the device has the port."""
    pid = on(
        rig.address,
        f"python3 -m http.server {port} --bind 127.0.0.1 >/dev/null 2>&1 </dev/null & echo $!; "
        f"for i in $(seq 50); do grep -q :{port:04X} /proc/net/tcp && break; sleep 0.1; done",
    )
    try:
        yield
    finally:
        on(rig.address, f"kill {pid}")


def infer(rig: Rig) -> None:
    """One inference through the service, as an application would ask for it."""
    buffer = io.BytesIO()
    np.savez(buffer, **{tiny.INPUT: np.ones((1, 3), np.float32)})
    data = base64.b64encode(buffer.getvalue()).decode()
    on(
        rig.address,
        "python3 -c 'import urllib.request as u, base64; "
        f'u.urlopen("http://127.0.0.1:8011/infer", base64.b64decode("{data}"))\'',
    )


def test_an_unhealthy_release_goes_back(
    rig: Rig, first: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers its golden inputs, but its service has too little time to start."""
    monkeypatch.setattr(releases, "HEALTH_DEADLINE", 0.5)
    made = rig.release(tiny.bundle(rig.store, 4.0))
    with rig.session() as session:
        deploy.push(session, made, rig.store, silent)
        with pytest.raises(VerificationFailed, match="previous release runs again"):
            deploy.activate(session, made, silent)
        assert session.request("status").header["current"] == first.digest
    assert running(rig) == model_of(first)


def test_a_port_that_is_taken_is_found_before_anything_stops(rig: Rig, first: Release) -> None:
    run = rig.project.run.model_copy(update={"port": TAKEN})
    other = dataclasses.replace(rig, project=rig.project.model_copy(update={"run": run}))
    made = other.release(tiny.bundle(rig.store, 4.0))
    with listener(rig, TAKEN), rig.session() as session:
        deploy.push(session, made, rig.store, silent)
        with pytest.raises(Refused, match=f"port {TAKEN} is taken"):
            deploy.activate(session, made, silent)
        assert session.request("status").header["current"] == first.digest
    assert running(rig) == model_of(first)


@pytest.mark.parametrize("part", ["payload", "signature"])
def test_a_tampered_release_is_refused(rig: Rig, first: Release, part: str) -> None:
    made = rig.release(tiny.bundle(rig.store, 2.0))
    with rig.session() as session:
        deploy.push(session, made, rig.store, silent)
        bad = bytearray(getattr(made, part))
        bad[len(bad) // 2] ^= 1
        forged = dataclasses.replace(made, **{part: bytes(bad), "digest": of_bytes(bytes(bad))})
        with pytest.raises(VerificationFailed, match="signature"):
            deploy.activate(session, forged, silent)


def test_another_key_is_refused(rig: Rig, first: Release, tmp_path: Path) -> None:
    stranger, _ = signing.load_or_make(tmp_path / "key")
    with rig.session() as session:
        with pytest.raises(Refused, match="another signing key"):
            deploy.trust(session, stranger, profiles.load(PROFILE))
        theirs = dataclasses.replace(rig, key=stranger).release(tiny.bundle(rig.store, 2.0))
        deploy.push(session, theirs, rig.store, silent)
        with pytest.raises(VerificationFailed, match="signature"):
            deploy.activate(session, theirs, silent)


def test_another_device_class_is_refused(rig: Rig, first: Release) -> None:
    pi4 = profiles.load("raspberry-pi-4b")
    made = deploy.make(
        rig.project, pi4, rig.image, tiny.bundle(rig.store), store=rig.store, key=rig.key
    )
    with rig.session() as session:
        with pytest.raises(Refused, match="raspberry-pi-5, not raspberry-pi-4b"):
            deploy.trust(session, rig.key, pi4)
        deploy.push(session, made, rig.store, silent)
        with pytest.raises(Refused, match="the release is for raspberry-pi-4b"):
            deploy.activate(session, made, silent)


def test_two_at_once_are_refused_with_the_owner(rig: Rig, first: Release) -> None:
    with rig.session(), pytest.raises(Busy, match=r"busy: .*\(test\)"), rig.session():
        pass


@contextmanager
def small_disk(rig: Rig, size: str) -> Iterator[str]:
    folder = f"/mnt/small-{size}"
    on(rig.address, f"mkdir -p {folder} && mount -t tmpfs -o size={size} tmpfs {folder}")
    try:
        yield folder
    finally:
        on(rig.address, f"umount {folder}")


def test_a_full_disk_is_refused_before_anything_is_written(rig: Rig, first: Release) -> None:
    with small_disk(rig, "100m") as folder, deploy_session(rig, folder) as session:
        deploy.claim(session, "test")
        with pytest.raises(Refused, match="disk is too full"):
            deploy.push(session, first, rig.store, silent)
        assert on(rig.address, f"ls {folder}/store/incoming {folder}/images").split() == [
            f"{folder}/images:",
            f"{folder}/store/incoming:",
        ]


def test_no_room_for_the_agent(rig: Rig, first: Release) -> None:
    from yardarm.remote import connect

    with (
        small_disk(rig, "16k") as folder,
        connect(rig.address) as connection,
        pytest.raises(Refused, match=r"can't be placed.*No space left"),
    ):
        deploy.place(connection, folder)
    assert "incoming" not in on(rig.address, f"mkdir -p {folder}; ls {folder}")


@contextmanager
def deploy_session(rig: Rig, folder: str) -> Iterator[deploy.rollout.Session]:
    from yardarm.remote import connect, open_session

    with connect(rig.address) as connection:
        placed = deploy.place(connection, folder)
        with open_session(connection, placed.path, folder) as session:
            yield session


def test_telemetry_is_kept_here_and_released_there(
    rig: Rig, first: Release, tmp_path: Path
) -> None:
    infer(rig)
    on(rig.address, "sleep 6")
    with rig.session() as session:
        pulled = telemetry_room.pull(session, tmp_path)
        again = telemetry_room.pull(session, tmp_path)
    numbers = [record["seq"] for record in pulled.records]
    assert len(numbers) >= 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(record["seq"] > numbers[-1] for record in again.records)
    last = pulled.records[-1]["values"]
    assert last["memory.used_mb"] > 0 and last["disk.free_mb"] > 0
    assert last["runtime.requests"] >= 1, "the service's own counters are sampled"
    assert last["runtime.latency_p50_us"] > 0
    kept = [json.loads(line) for line in pulled.file.read_text().splitlines()]
    assert [record["seq"] for record in kept][: len(numbers)] == numbers


def test_another_project_is_told_that_it_replaces_one(rig: Rig, first: Release) -> None:
    """Told before anything happens: this one then fails its golden inputs."""
    theirs = rig.project.model_copy(update={"root": rig.project.root.with_name("theirs")})
    bundle = tiny.bundle(rig.store, 7.0, answers=5.0)
    made = dataclasses.replace(rig, project=theirs).release(bundle)
    events: list[Event] = []
    with rig.session() as session:
        deploy.push(session, made, rig.store, silent)
        with pytest.raises(VerificationFailed, match="golden"):
            deploy.activate(session, made, events.append)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == [f"lab:deploy runs project {rig.project.name}, which theirs replaces"]


def test_an_interrupt_says_that_the_device_goes_on(
    rig: Rig, first: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rig.release(tiny.bundle(rig.store, 8.0))
    events: list[Event] = []
    with rig.session() as session:
        deploy.push(session, made, rig.store, silent)
        receive = session.receive

        def interrupted() -> Frame:
            frame = receive()
            if "downtime_s" in frame.header:
                raise KeyboardInterrupt
            return frame

        monkeypatch.setattr(session, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            deploy.activate(session, made, events.append)
        monkeypatch.undo()
        assert session.request("status").header["current"] == made.digest
        deploy.activate(session, first, silent, allow_downgrade=True)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len(notes) == 1 and "lab:deploy goes on by itself" in notes[0]
