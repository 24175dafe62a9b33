"""Engines on a device: built there by a release, kept, handed over with a signature, and
refused where anything about them is wrong. The release is a stand-in; the agent is real."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_rig import Device, device, digest_of, power_mode, service, serving, until
from yardarm import signing
from yardarm_agent import blobs, engines, machine, supervisor
from yardarm_agent.layout import Layout
from yardarm_wire import engines as wire
from yardarm_wire.engines import Key, Record

__all__ = ["device"]

TARGET = "tensorrt"


def ask(device: Device, op: str, **fields: Any) -> dict[str, Any]:
    return dict(device.pipes.ask(op, **fields).header)


def set_mode(device: Device, mode: str) -> None:
    power_mode(Path(device.layout.root).parent / "bin", mode)


def build(device: Device, release: str) -> dict[str, Any]:
    """The reply to `build_engine`, and how often it told progress."""
    device.pipes.send({"op": "build_engine", "digest": release})
    told = 0
    while "progress" in (reply := device.pipes.receive().header):
        told += 1
    return {**reply, "told": told}


def listed(device: Device) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(device, "engines")["engines"]
    return found


def folders(device: Device) -> list[str]:
    found = Path(device.layout.engines).iterdir()
    return sorted(path.name for path in found if path.name != machine.NAME)


def deployed(device: Device, behaviour: str, **options: Any) -> str:
    """A release that runs by an engine, which was built."""
    release: str = device.prepare(behaviour, target=TARGET, **options)["digest"]
    assert "error" not in build(device, release)
    assert ask(device, "activate", digest=release)["changed"]
    return release


def attached(device: Device, release: str, plan: bytes, **changed: Any) -> tuple[bytes, Record]:
    """Payload of an attachment that fits the release, but for what is changed."""
    key = Key.from_json(ask(device, "engine_key", digest=release)["key"])
    record = Record(key._replace(**changed), digest_of(plan), len(plan))
    return wire.canonical(record.to_json()), record


def signature(device: Device, payload: bytes, namespace: str = wire.NAMESPACE) -> str:
    return signing.sign(device.key, payload, namespace).decode()


def place(device: Device, release: str, payload: bytes, signed: str) -> dict[str, Any]:
    fields = {"digest": release, "signature": signed}
    return dict(device.pipes.ask("place_engine", payload, **fields).header)


def test_a_release_without_an_engine_is_as_ever(device: Device) -> None:
    release = device.prepare("healthy")["digest"]
    state = ask(device, "engine_key", digest=release)
    assert state == {"key": None, "present": True, "differences": []}
    assert build(device, release)["error"]["kind"] == "InvalidInput"
    assert ask(device, "engine_key", digest=digest_of(b"x"))["error"]["kind"] == "InvalidInput"


def test_an_engine_is_built_once_before_the_golden_inputs(device: Device) -> None:
    set_mode(device, "15W")
    prepared = device.prepare("healthy", target=TARGET)
    assert prepared["golden"] is None
    release = prepared["digest"]
    assert "no engine" in ask(device, "activate", digest=release)["error"]["what"]
    state = ask(device, "engine_key", digest=release)
    assert state["present"] is False and state["differences"] == []
    assert state["key"]["power_mode"] == "15W" and state["key"]["model"] == digest_of(b"model")
    built = build(device, release)
    assert built["cached"] is False and built["told"] >= 2
    assert Record.from_json(built["engine"]).key.to_json() == state["key"]
    assert build(device, release)["cached"] is True
    assert listed(device) == [{"record": built["engine"], "signed": False}], "nobody signed it"
    assert ask(device, "engine_key", digest=release)["present"] is True
    assert device.prepare_again()["golden"]["ok"]
    assert ask(device, "activate", digest=release)["changed"]
    log = ask(device, "logs", lines=9)["text"]
    assert f"engine {built['engine']['engine']}" in log, "the service has it"


def test_a_plan_is_read_in_pieces(device: Device) -> None:
    release = device.prepare("healthy", target=TARGET)["digest"]
    record = Record.from_json(build(device, release)["engine"])
    data = b""
    while piece := device.pipes.ask(
        "read_engine", key=record.key.digest(), offset=len(data), size=1 << 21
    ).payload:
        data += piece
    assert (len(data), digest_of(data)) == (record.size, record.engine)
    missing = {"key": digest_of(b"x"), "offset": 0, "size": 9}
    assert ask(device, "read_engine", **missing)["error"]["kind"] == "InvalidInput"


def test_what_a_build_links_to_is_not_followed(device: Device, tmp_path: Path) -> None:
    release = device.prepare("healthy", target=TARGET)["digest"]
    record = Record.from_json(build(device, release)["engine"])
    plan = Path(wire.folder(device.layout.engines, record.key), wire.PLAN)
    plan.rename(tmp_path / "elsewhere")
    plan.symlink_to(tmp_path / "elsewhere")
    fields = {"key": record.key.digest(), "offset": 0, "size": 9}
    assert ask(device, "read_engine", **fields)["error"]["kind"] == "InvalidInput"


def test_another_power_mode_wants_another_engine(device: Device) -> None:
    set_mode(device, "15W")
    release = deployed(device, "healthy")
    set_mode(device, "MAXN")
    data = device.put(b"inputs")
    error = ask(device, "bench", plan={}, data=data)["error"]
    assert error["kind"] == "Refused" and "yardarm deploy" in error["hint"]
    said = "power mode: built in 15W, this device is in MAXN"
    assert said in error["what"]
    state = ask(device, "engine_key", digest=release)
    assert state["present"] is False and state["differences"] == [said]
    before = service(device)
    build(device, release)
    assert ask(device, "activate", digest=release)["changed"], "the service takes the new one"
    assert service(device)["engine"] != before["engine"]
    assert ask(device, "activate", digest=release)["changed"] is False
    set_mode(device, "15W")
    assert ask(device, "engine_key", digest=release)["present"] is True, "both are kept"


def test_the_supervisor_builds_what_is_missing_before_it_serves(device: Device) -> None:
    set_mode(device, "15W")
    release = deployed(device, "healthy")
    set_mode(device, "MAXN")
    os.kill(service(device)["pid"], signal.SIGKILL)
    until(lambda: serving(device) == release and device.model() and len(listed(device)) == 2)
    assert "is built first" in ask(device, "logs", lines=50)["text"]


def test_engines_of_models_that_are_gone_are_removed(device: Device) -> None:
    one = deployed(device, "healthy 1", model=b"one")
    two = deployed(device, "healthy 2", model=b"two")
    assert {item["record"]["key"]["model"] for item in listed(device)} == {
        digest_of(b"one"), digest_of(b"two"),
    }  # fmt: skip
    deployed(device, "healthy 3", model=b"three")
    assert device.previous == two != one
    assert {item["record"]["key"]["model"] for item in listed(device)} == {
        digest_of(b"two"), digest_of(b"three"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("broken", "found no tactic"), ("killed", "no memory"), ("untold", "TensorRT is not")],
)
def test_a_build_that_fails_says_why_and_leaves_nothing(
    device: Device, behaviour: str, said: str
) -> None:
    prepared = device.prepare(f"healthy {behaviour}", target=TARGET)
    reply = prepared if behaviour == "untold" else build(device, prepared["digest"])
    error = reply["error"]
    assert error["kind"] == "VerificationFailed" and said in error["what"] + error["hint"]
    assert folders(device) == [] and listed(device) == []


def test_a_host_that_hangs_up_ends_the_build(device: Device) -> None:
    release = device.prepare("healthy slow", target=TARGET)["digest"]
    device.pipes.send({"op": "build_engine", "digest": release})
    pid = device.pipes.receive().header["progress"]["pid"]
    born = supervisor.birth(pid)
    assert born is not None and folders(device)
    for stream in (device.pipes.process.stdin, device.pipes.process.stdout):
        stream.close()
    assert device.pipes.process.wait(10) is not None
    until(lambda: supervisor.birth(pid) != born)
    assert folders(device) == []
    device.pipes.process.stderr.close()


def test_a_killed_session_leaves_its_build_the_folder(device: Device) -> None:
    """The build doesn't know yet that nobody waits for it: until it does, no other one may
    begin, and what it writes isn't touched."""
    release = device.prepare("healthy slow", target=TARGET)["digest"]
    device.pipes.send({"op": "build_engine", "digest": release})
    pid = device.pipes.receive().header["progress"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    device.pipes.process.kill()
    device.pipes.process.communicate()
    device.pipes = device.session()
    assert folders(device), "the claim left it"
    assert build(device, release)["error"]["kind"] == "Busy"
    os.kill(pid, signal.SIGCONT)
    until(lambda: supervisor.birth(pid) is None)
    device.pipes.end()
    device.pipes = device.session()
    assert folders(device) == [], "the next claim clears it"


def test_a_second_session_builds_nothing(device: Device, session: Callable[..., Any]) -> None:
    release = device.prepare("healthy", target=TARGET)["digest"]
    other = session()
    for op in ("engine_key", "build_engine", "place_engine"):
        assert "claim is needed" in other.refused(op, digest=release, signature="")[1]
    assert other.ask("engines").header == {"engines": []}, "asking is free"


def test_a_full_disk_is_refused_before_a_build(
    device: Device, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yardarm_agent import building
    from yardarm_wire.problems import Refusal

    release = device.prepare("healthy", target=TARGET)["digest"]
    ask(device, "engine_key", digest=release)
    monkeypatch.setattr(blobs, "free", lambda _layout: 9)
    monkeypatch.setattr(
        machine, "identity", lambda: dict(building._known(layout, release))["device"]
    )
    with pytest.raises(Refusal, match="disk is too full"):
        list(building.build(layout, release))
    assert folders(device) == []


def test_a_damaged_plan_is_found_and_built_again(device: Device) -> None:
    release = device.prepare("healthy", target=TARGET)["digest"]
    record = Record.from_json(build(device, release)["engine"])
    plan = Path(wire.folder(device.layout.engines, record.key), wire.PLAN)
    plan.write_bytes(b"!" + plan.read_bytes()[1:])
    assert ask(device, "engine_key", digest=release)["present"] is False
    assert folders(device) == []
    assert build(device, release)["cached"] is False


def test_one_that_is_handed_over_is_placed_with_its_signature(device: Device) -> None:
    release = device.prepare("healthy", target=TARGET)["digest"]
    payload, record = attached(device, release, b"a plan of another device")
    blob = Path(device.layout.blob(device.put(b"a plan of another device")))
    reply = place(device, release, payload, signature(device, payload))
    assert reply == {"placed": True, "record": record.to_json()}
    assert not blob.exists(), "it is no blob any more"
    assert listed(device) == [{"record": record.to_json(), "signed": True}]
    folder = Path(wire.folder(device.layout.engines, record.key))
    assert (folder / wire.ATTACHMENT).read_bytes() == payload
    assert device.prepare_again()["golden"]["ok"]
    assert ask(device, "activate", digest=release)["changed"]
    device.put(b"a plan of another device")
    assert place(device, release, payload, signature(device, payload))["placed"] is False
    (folder / wire.SIGNATURE).write_bytes(signature(device, b"something else").encode())
    assert listed(device)[0]["signed"] is False


WRONG = {
    "signature": ("VerificationFailed", "not one of a trusted key"),
    "stranger": ("VerificationFailed", "not one of a trusted key"),
    "namespace": ("VerificationFailed", "not one of a trusted key"),
    "no record": ("VerificationFailed", "no engine's record"),
    "spelling": ("VerificationFailed", "not spelled canonically"),
    "no plan": ("VerificationFailed", "the blob is not here"),
    "damaged plan": ("VerificationFailed", "damaged, and is removed"),
    "size": ("VerificationFailed", "size is not that of its record"),
    "power_mode": ("Refused", "another device"),
    "tensorrt": ("Refused", "another device"),
    "module": ("Refused", "another device"),
}


def test_what_is_wrong_about_an_engine_is_refused(device: Device, tmp_path: Path) -> None:
    release = device.prepare("healthy", target=TARGET)["digest"]
    stranger, _new = signing.load_or_make(tmp_path / "stranger")
    for wrong, (kind, said) in WRONG.items():
        plan = b"a plan, but for " + wrong.encode()
        changed = {wrong: "another"} if kind == "Refused" else {}
        payload, record = attached(device, release, plan, **changed)
        if wrong == "size":
            payload = wire.canonical(record._replace(size=7).to_json())
        if wrong == "no record":
            payload = b'{"schema": "yardarm.engine/2"}'
        if wrong == "spelling":
            payload = json.dumps(record.to_json()).encode()
        if wrong != "no plan":
            blob = Path(device.layout.blob(device.put(plan)))
            if wrong == "damaged plan":
                blob.write_bytes(b"b" + plan[1:])
        signed = signature(device, payload)
        if wrong == "signature":
            signed = signature(device, payload + b" ")
        if wrong == "namespace":
            signed = signature(device, payload, "yardarm-release")
        if wrong == "stranger":
            signed = signing.sign(stranger, payload, wire.NAMESPACE).decode()
        error = place(device, release, payload, signed)["error"]
        assert error["kind"] == kind and said in error["what"], (wrong, error)
        assert folders(device) == [], wrong
        if wrong == "power_mode":
            assert "built in another" in error["hint"]


def test_more_than_was_announced_is_not_taken(device: Device) -> None:
    plan = b"a plan"
    fields = {"digest": digest_of(plan), "size": len(plan), "offset": 0, "encoding": "raw"}
    assert "more than the 6 bytes" in device.pipes.refused("put", plan + b"!", **fields)[1]


def test_a_selftest_runs_in_the_release_and_leaves_no_engine(device: Device) -> None:
    assert ask(device, "selftest")["error"]["kind"] == "InvalidInput"
    release, _reply = device.deploy("healthy")
    reply = ask(device, "selftest")
    assert reply["release"] == release and reply["report"]["ok"] is True
    assert json.loads(Path(reply["report"]["device"]).read_text()) == ask(device, "device")
    assert folders(device) == []
    Path(device.layout.image(_config(device)), "behaviour").write_text("healthy wrong")
    assert ask(device, "selftest")["report"]["ok"] is False, "a failed step is a report"


def _config(device: Device) -> str:
    assert device.current is not None
    release = Path(device.layout.release(device.current), "release.json")
    return str(json.loads(release.read_text())["image"]["config"])


def test_what_the_runtime_is_told_of_a_jetson(tmp_path: Path) -> None:
    (tmp_path / "proc" / "device-tree").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/device-tree/model").write_text("NVIDIA Jetson Orin Nano Developer Kit\0")
    (tmp_path / "proc/meminfo").write_text("MemTotal:        7802516 kB\nMemFree: 1 kB\n")
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3, GCID: 1\n")
    said = {"nvpmodel": "NV Power Mode: 15W\n0\n"}
    assert machine.facts(str(tmp_path), lambda argv: said.get(argv[0], "")) == {
        "module": "NVIDIA Jetson Orin Nano Developer Kit", "power_mode": "15W", "l4t": "36.4.3",
        "jetson_clocks": None, "memory_mb": 7990,
    }  # fmt: skip
    (tmp_path / "var/lib/nvpmodel").mkdir(parents=True)
    (tmp_path / "var/lib/nvpmodel/status").write_text("pmode:0001\n")
    (tmp_path / "etc/nvpmodel.conf").write_text("< POWER_MODEL ID=1 NAME=MODE_7W >\n")
    assert machine.identity(str(tmp_path), lambda _argv: "")["power_mode"] == "MODE_7W"


def test_what_is_no_jetson_is_told_as_unknown(tmp_path: Path) -> None:
    assert machine.facts(str(tmp_path), lambda _argv: "") == {
        "module": "", "power_mode": "", "l4t": "", "jetson_clocks": None, "memory_mb": 0,
    }  # fmt: skip


def test_an_engine_is_kept_whole_or_not_at_all(layout: Layout) -> None:
    """Each state that a build or a placement may leave behind."""
    key = Key(digest_of(b"m"), "10.3.0", 87, "", "", digest_of(b"o"))
    record = Record(key, digest_of(b"plan"), 4)
    folder = Path(wire.folder(layout.engines, key))
    folder.mkdir()
    assert engines.find(layout, key) is None, "nothing"
    (folder / wire.PLAN).write_bytes(b"plan")
    assert engines.find(layout, key) is None, "no record"
    (folder / wire.RECORD).write_bytes(wire.canonical(record._replace(size=5).to_json()))
    assert engines.find(layout, key) is None, "another size"
    (folder / wire.RECORD).write_bytes(wire.canonical(record.to_json()))
    found = engines.find(layout, key)
    assert found is not None and engines.whole(found)
    folder.rename(folder.with_name("0" * 64))
    assert engines.kept(layout) == [], "under the name of another key"
    Path(layout.engines, "timing-10.3.0-87.cache").write_bytes(b"times")
    Path(layout.engines, ".partial-" + "1" * 64).mkdir()
    Path(layout.engines, "2" * 64 + ".partial").mkdir()
    for name, age in (("old", 7200), ("new", 0)):
        Path(layout.engines, f".partial-{name}").write_bytes(b"half")
        os.utime(Path(layout.engines, f".partial-{name}"), (time.time() - age,) * 2)
    engines.discard_partial(layout)
    left = sorted(path.name for path in Path(layout.engines).iterdir())
    assert left == [".partial-new", "timing-10.3.0-87.cache"], "somebody may be writing it"
