"""An engine that one device built, for another of its kind: fetched, signed, handed over, and
refused where anything about it is wrong. Real sessions with the real agent; the release's
runtime is a stand-in."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import tiny
from agent_rig import Pipes, agent, power_mode, stop, tools
from conftest import Cli
from yardarm import deploy, profiles, project, signing
from yardarm.artifacts import (
    MEDIA_BUNDLE,
    MEDIA_CONFIG,
    MEDIA_EMPTY,
    MEDIA_ENGINE,
    MEDIA_LAYER,
    MEDIA_OCTETS,
    TITLE,
    Address,
    Bundle,
    Image,
    Release,
)
from yardarm.deploy import engines, supply
from yardarm.digest import canonical_json
from yardarm.errors import Refused, VerificationFailed, YardarmError
from yardarm.events import Advanced, Event, Note
from yardarm.flow import engine as flow
from yardarm.remote import session as remote
from yardarm.signing import SigningKey
from yardarm.store import Store
from yardarm_agent.layout import Layout
from yardarm_wire import engines as wire
from yardarm_wire.frames import Frame

__all__ = ["agent"]

PROFILE = "jetson-orin-nano-8gb"
PORTS = {"one": 18431, "two": 18432}


class LocalSession(remote.Session):
    """A session whose channel is a pipe to an agent on this machine."""

    def __init__(self, pipes: Pipes, name: str) -> None:
        self.address = Address(name, "localhost")
        self._pipes = pipes

    def send(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        self._pipes.send(dict(header), payload)

    def receive(self) -> Frame:
        frame = self._pipes.receive()
        if "error" in frame.header:
            raise remote._as_error(frame.header["error"], self.address.name)
        return frame


@dataclasses.dataclass
class Jetson:
    """A device, and a session that has its claim."""

    name: str
    layout: Layout
    tools: Path
    session: LocalSession

    def engines(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.session.request("engines").header["engines"]
        return found


@dataclasses.dataclass
class Bench:
    """What the host has: a store, a key, a project, an image and a bundle."""

    root: Path
    store: Store
    key: SigningKey
    image: Image
    bundle: Bundle

    def release(self, jetson: Jetson, key: SigningKey | None = None) -> Release:
        """For one device: two on one machine need two ports."""
        opened = project.load(self.root)
        run = opened.run.model_copy(update={"port": PORTS[jetson.name]})
        opened = opened.model_copy(update={"run": run})
        chosen = profiles.load(PROFILE)
        return deploy.make(
            opened, chosen, self.image, self.bundle, store=self.store, key=key or self.key
        )

    def supply(self, jetson: Jetson) -> tuple[supply.Supplied | None, list[Event]]:
        """As far as a deploy goes until the release has its engine."""
        events: list[Event] = []
        made = self.release(jetson)
        deploy.push(jetson.session, made, self.store, events.append)
        deploy.rollout._prepare(jetson.session, made, events.append, False)
        return supply.supply(jetson.session, made, self.store, events.append), events

    def deploy(self, jetson: Jetson) -> tuple[deploy.Deployment, list[Event]]:
        events: list[Event] = []
        made = self.release(jetson)
        deploy.push(jetson.session, made, self.store, events.append)
        done = deploy.activate(jetson.session, made, events.append, store=self.store)
        return done, events


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    root = tmp_path / "project"
    root.mkdir()
    (root / "yardarm.toml").write_text(
        '[model]\nsource = "m"\n[data]\ncalibration = "c"\nevaluation = "e"\n'
    )
    monkeypatch.setenv("YARDARM_SIGNING_KEY", str(root / "key"))
    store = Store(root / ".yardarm" / "store")
    key, _new = signing.load_or_make(root / "key")
    return Bench(root, store, key, image(store), bundle(store))


def image(store: Store) -> Image:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        info = tarfile.TarInfo("behaviour")
        info.size = len(b"healthy")
        archive.addfile(info, io.BytesIO(b"healthy"))
    layers = (store.put(layer.getvalue(), MEDIA_LAYER),)
    config = store.put(
        json.dumps({"config": {"Env": [], "Entrypoint": ["program"]}}).encode(), MEDIA_CONFIG
    )
    return Image(store.put_manifest(config=config, layers=layers).digest, config, layers, {})


def bundle(store: Store) -> Bundle:
    manifest = {"schema": "yardarm.bundle/1", "target": "tensorrt", "tensorrt": {"version": "10.3"}}
    files = {"model.onnx": tiny.model(), "manifest.json": canonical_json(manifest)}
    blobs = {name: store.put(data, MEDIA_OCTETS, {TITLE: name}) for name, data in files.items()}
    made = store.put_manifest(
        config=store.put(b"{}", MEDIA_EMPTY),
        layers=list(blobs.values()),
        artifact_type=MEDIA_BUNDLE,
    )
    return Bundle(made.digest, manifest, blobs)


Start = Callable[[str], Jetson]


@pytest.fixture
def jetson(bench: Bench, agent: Path, tmp_path: Path) -> Iterator[Start]:
    """Devices that trust the host's key, by name."""
    started: list[Jetson] = []

    def start(name: str) -> Jetson:
        layout = Layout(str(tmp_path / name))
        folder = tools(tmp_path / f"{name}-bin")
        power_mode(folder, "15W")
        pipes = Pipes(agent, layout.root, shutil.which("python3") or "python3", str(folder))
        session = LocalSession(pipes, f"root@{name}")
        deploy.claim(session, "test")
        deploy.trust(session, bench.key, profiles.load(PROFILE))
        started.append(Jetson(name, layout, folder, session))
        return started[-1]

    yield start
    for device in started:
        device.session._pipes.end()
        stop(device.layout)


def notes(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def fetched(bench: Bench, device: Jetson) -> engines.Attachment:
    made = bench.release(device)
    return flow.fetch(device.session, made, bench.store, lambda _event: None).attachment


def test_the_second_device_is_handed_what_the_first_one_built(
    bench: Bench, jetson: Start, cli: Cli
) -> None:
    one, two = jetson("one"), jetson("two")
    done, events = bench.deploy(one)
    assert done.changed and done.engine is not None and done.engine.how == supply.BUILT
    assert done.golden is not None and done.golden["ok"], "asked once the engine was there"
    assert any(isinstance(event, Advanced) and event.step == "engine" for event in events)
    assert "takes minutes" in notes(events)[0] and "engine fetch root@one" in notes(events)[1]

    made = bench.release(one)
    kept = flow.fetch(one.session, made, bench.store, events.append)
    assert not kept.known and flow.fetch(one.session, made, bench.store, events.append).known
    assert kept.attachment.record == done.engine.record
    (listed,) = flow.kept(bench.root)
    assert listed == kept.attachment
    (told,) = cli("engine", "list", "--project", bench.root, "--json").json
    assert told["engine"] == listed.record.engine and told["origin"] == "signed"
    assert "15W" in cli("engine", "list", "--project", bench.root).stdout

    handed, events = bench.deploy(two)
    assert handed.engine is not None and handed.engine.how == supply.HANDED_OVER
    assert handed.golden is not None and handed.golden["ok"] and not notes(events)
    record = kept.attachment.record
    assert two.engines() == [{"record": record.to_json(), "signed": True}]
    assert one.engines() == [{"record": record.to_json(), "signed": False}], "it trusts its own"
    log = two.session.request("logs", lines=9).header["text"]
    assert f"engine {record.engine}" in log, "its service has the plan of the first device"
    again, events = bench.deploy(two)
    assert not again.changed and again.engine is not None and again.engine.how == supply.THERE


def test_an_attachment_is_an_artifact_beside_its_bundle(bench: Bench, jetson: Start) -> None:
    one = jetson("one")
    bench.supply(one)
    kept = fetched(bench, one)
    named = bench.store.resolve(engines.reference(kept.record.key))
    assert named is not None
    body = bench.store.read_json(named.digest)
    assert body["artifactType"] == MEDIA_ENGINE
    assert body["subject"]["digest"] == bench.bundle.digest
    assert body["subject"]["size"] == len(bench.store.read(bench.bundle.digest))
    assert next(item["digest"] for item in body["layers"]) == kept.record.engine
    allowed = bench.root / "signers"
    allowed.write_text(f'me namespaces="yardarm-engine" {bench.key.public}\n')
    (bench.root / "signature").write_bytes(kept.signature)
    subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "me", "-n", wire.NAMESPACE,
         "-s", bench.root / "signature"],
        input=kept.payload, check=True, capture_output=True, timeout=20,
    )  # fmt: skip


def test_a_changed_power_mode_is_said_and_built_for(bench: Bench, jetson: Start) -> None:
    one = jetson("one")
    bench.deploy(one)
    made = bench.release(one)
    fetched(bench, one)
    supply.expect(one.session, made)
    power_mode(one.tools, "MAXN")
    with pytest.raises(Refused, match="built in 15W, this device is in MAXN") as refused:
        supply.expect(one.session, made)
    assert refused.value.hint.startswith("yardarm deploy root@one")
    with pytest.raises(Refused, match="built in 15W, this device is in MAXN"):
        fetched(bench, one)
    done, events = bench.deploy(one)
    assert done.changed and done.engine is not None and done.engine.how == supply.BUILT
    assert "built in 15W, this device is in MAXN" in notes(events)[0]
    supply.expect(one.session, made)


@pytest.mark.parametrize("wrong", ["signed by a stranger", "tampered plan", "signature changed"])
def test_what_is_wrong_is_not_taken_and_the_device_builds(
    bench: Bench, jetson: Start, tmp_path: Path, wrong: str
) -> None:
    one, two = jetson("one"), jetson("two")
    bench.supply(one)
    kept = fetched(bench, one)
    if wrong == "signed by a stranger":
        stranger, _new = signing.load_or_make(tmp_path / "stranger")
        engines.keep(bench.store, bench.bundle, kept.record, kept.plan, stranger)
    if wrong == "signature changed":
        other = kept.record._replace(size=kept.record.size + 1)
        forged = signing.sign(bench.key, wire.canonical(other.to_json()), wire.NAMESPACE)
        _replace_signature(bench, kept, forged)
    if wrong == "tampered plan":
        file = bench.store.path(kept.plan.digest)
        file.write_bytes(b"!" + file.read_bytes()[1:])
    done, events = bench.supply(two)
    assert done is not None and done.how == supply.BUILT
    (warning,) = [event for event in events if isinstance(event, Note) and event.level != "info"]
    said = "damaged" if wrong == "tampered plan" else "signature is not one of a trusted key"
    assert said in warning.text
    (there,) = two.engines()
    assert there["signed"] is False and there["record"]["engine"] != kept.record.engine


def _replace_signature(bench: Bench, kept: engines.Attachment, forged: bytes) -> None:
    layers = bench.store.read_json(
        bench.store.resolve(engines.reference(kept.record.key)).digest  # type: ignore[union-attr]
    )["layers"]
    parts = [engines.Descriptor.from_oci(layer) for layer in layers]
    parts[-1] = bench.store.put(forged, MEDIA_OCTETS, {TITLE: wire.SIGNATURE})
    bench.store.put_manifest(
        config=bench.store.put(b"{}", MEDIA_EMPTY),
        layers=parts,
        reference=engines.reference(kept.record.key),
    )


def test_a_plan_that_is_gone_was_never_kept(bench: Bench, jetson: Start) -> None:
    one = jetson("one")
    bench.supply(one)
    kept = fetched(bench, one)
    bench.store.path(kept.plan.digest).unlink()
    assert flow.kept(bench.root) == [] and engines.find(bench.store, kept.record.key) is None


def test_an_engine_that_arrives_damaged_is_not_kept(
    bench: Bench, jetson: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = jetson("one")
    bench.supply(one)
    request = one.session.request

    def damaged(operation: str, payload: bytes = b"", /, **fields: Any) -> Frame:
        frame = request(operation, payload, **fields)
        return Frame(frame.header, b"?" * len(frame.payload))

    monkeypatch.setattr(one.session, "request", damaged)
    before = sorted(bench.store.path(bench.bundle.digest).parent.iterdir())
    with pytest.raises(VerificationFailed, match="not the one of its record"):
        fetched(bench, one)
    assert sorted(bench.store.path(bench.bundle.digest).parent.iterdir()) == before
    assert flow.kept(bench.root) == []


@pytest.mark.parametrize("part", ["model", "options"])
def test_an_engine_of_another_model_than_the_release_has_is_not_signed(
    bench: Bench, jetson: Start, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """A device that lies would have its program sent to those that run that model."""
    one = jetson("one")
    bench.supply(one)
    request = one.session.request

    def lying(operation: str, payload: bytes = b"", /, **fields: Any) -> Frame:
        frame = request(operation, payload, **fields)
        told = frame.header
        for held in [told, *(item["record"] for item in told.get("engines", []))]:
            if "key" in held:
                held["key"] = {**held["key"], part: "sha256:" + "0" * 64}
        return frame

    monkeypatch.setattr(one.session, "request", lying)
    with pytest.raises(VerificationFailed, match="another model than the release's"):
        fetched(bench, one)
    assert flow.kept(bench.root) == []


def test_a_build_that_fails_changes_nothing(bench: Bench, jetson: Start) -> None:
    one = jetson("one")
    done, _events = bench.deploy(one)
    running = one.session.request("status").header["current"]
    manifest = {**bench.bundle.manifest, "tensorrt": {"version": "10.3", "workspace_mb": 9}}
    blob = bench.store.put(canonical_json(manifest), MEDIA_OCTETS, {TITLE: "manifest.json"})
    blobs = {**bench.bundle.blobs, "manifest.json": blob}
    other = dataclasses.replace(bench, bundle=Bundle(bench.bundle.digest, manifest, blobs))
    config = Path(one.layout.image(bench.image.config.digest), "behaviour")
    config.write_text("healthy broken")
    with pytest.raises(YardarmError, match="run failed") as failed:
        other.deploy(one)
    assert "found no tactic" in failed.value.hint
    status = one.session.request("status").header
    assert status["current"] == running and len(one.engines()) == 1
    assert done.engine is not None


def test_a_release_without_an_engine_asks_for_none(bench: Bench, jetson: Start) -> None:
    plain = dataclasses.replace(
        bench, bundle=dataclasses.replace(bench.bundle, manifest={"target": "onnxruntime"})
    )
    one = jetson("one")
    assert supply.supply(one.session, plain.release(one), bench.store, lambda _event: None) is None
