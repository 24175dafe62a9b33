"""Releases activated by real sessions, supervisors and services: the new one, or back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent_rig import STUB, Device, device, digest_of, service, serving, until
from yardarm_agent import daemon, supervisor

__all__ = ["device"]


def owner(device: Device, name: str) -> list[str]:
    """Pid and version of a daemon that runs."""
    until(lambda: (daemon.holder(device.layout, name) or [""])[0])
    found = daemon.holder(device.layout, name)
    assert found is not None
    return found


def kill(device: Device, name: str) -> None:
    os.kill(int(owner(device, name)[0]), signal.SIGKILL)
    until(lambda: daemon.holder(device.layout, name) is None)


def test_a_healthy_release_becomes_current_and_the_one_before_previous(device: Device) -> None:
    first, reply = device.deploy("healthy 1")
    assert reply == {"changed": True, "previous": None, "downtime_s": 0.0}
    assert device.current == first and device.previous is None
    until(lambda: device.pipes.ask("status").header["telemetry"])
    second, reply = device.deploy("healthy 2", model=b"another")
    assert reply["changed"] and reply["previous"] == first and reply["downtime_s"] > 0
    assert (device.current, device.previous) == (second, first)
    assert device.model() == digest_of(b"another")
    assert device.pipes.ask("status").header["supervisor"]
    until(lambda: device.pipes.ask("status").header["telemetry"])
    again = device.pipes.ask("activate", digest=second).header
    assert again == {"changed": False, "previous": first, "downtime_s": 0.0}


@pytest.mark.parametrize("behaviour", ["crash", "sick"])
def test_an_unhealthy_release_goes_back(device: Device, behaviour: str) -> None:
    """Both have the same model and port: an old service must not pass for the new one."""
    first, _reply = device.deploy("healthy 1")
    _digest, reply = device.deploy(behaviour, deadline=1.5)
    assert reply["error"]["kind"] == "VerificationFailed"
    what = reply["error"]["what"]
    assert re.search(r"not get healthy in \d+ s; the previous release runs again after \d+ s", what)
    assert behaviour in reply["error"]["hint"], "with the last lines of its log"
    assert device.current == first and serving(device) == first
    assert device.model() == digest_of(b"model")


def test_a_first_release_that_is_unhealthy_leaves_none(device: Device) -> None:
    _digest, reply = device.deploy("crash", deadline=1)
    assert "no release runs" in reply["error"]["what"]
    assert device.current is None and device.model() is None
    assert not device.pipes.ask("status").header["supervisor"]


def test_somebody_else_on_the_port_does_not_pass_for_the_release(device: Device) -> None:
    """Though it has the same model and is healthy."""
    device.prepare("healthy 1")
    image = next(Path(device.layout.images).iterdir())
    bundle = next(Path(device.layout.releases).glob("*/bundles/main"))
    argv = ["yardarm", image, "ro", bundle, "bundle", "--", "serve", "--port", str(device.port)]
    other = subprocess.Popen([sys.executable, STUB, *argv], stderr=subprocess.DEVNULL)
    try:
        until(lambda: device.model() == digest_of(b"model"))
        _digest, reply = device.deploy("healthy 2", deadline=1)
        assert reply["error"]["kind"] == "Refused"
        assert f"port {device.port} is taken by another program" in reply["error"]["what"]
        assert device.current is None and not device.pipes.ask("status").header["supervisor"]
    finally:
        other.kill()
        other.wait()


def test_a_release_that_keeps_ending_is_given_up_before_its_deadline(device: Device) -> None:
    first, _reply = device.deploy("healthy 1")
    begun = time.monotonic()
    _digest, reply = device.deploy("crash", deadline=120)
    assert "the previous release runs again" in reply["error"]["what"]
    assert time.monotonic() - begun < 30
    assert device.current == first and serving(device) == first


def test_status_names_the_project_that_runs(device: Device) -> None:
    assert device.pipes.ask("status").header["project"] is None
    device.deploy("healthy 1")
    assert device.pipes.ask("status").header["project"] == "p"


def test_wrong_golden_answers_never_reach_activation(device: Device) -> None:
    first, _reply = device.deploy("healthy 1")
    assert device.prepare("wrong")["error"]["kind"] == "VerificationFailed"
    assert device.current == first and serving(device) == first


def test_a_session_killed_before_the_proof_is_followed_by_the_way_back(device: Device) -> None:
    """The new release is current by then, and nobody knows whether it is healthy."""
    first, _reply = device.deploy("healthy 1")
    sick = device.prepare("sick", deadline=30)["digest"]
    device.pipes.send({"op": "activate", "digest": sick})
    until(lambda: serving(device) == sick)
    device.pipes.process.kill()
    device.pipes.process.communicate()
    assert device.current == sick
    release = Path(device.layout.release(sick), "release.json")
    body = json.loads(release.read_text())
    body["health"]["deadline_s"] = 1
    release.write_text(json.dumps(body))  # so that the test needn't wait for its deadline
    device.pipes = device.session()
    error = device.pipes.ask("activate", digest=sick).header["error"]
    assert "the previous release runs again" in error["what"]
    assert device.current == first and serving(device) == first


def test_a_host_that_vanishes_leaves_the_proof_to_the_device(device: Device) -> None:
    first, _reply = device.deploy("healthy 1")
    sick = device.prepare("sick", deadline=2)["digest"]
    device.pipes.send({"op": "activate", "digest": sick})
    until(lambda: device.current == sick)
    for stream in (device.pipes.process.stdin, device.pipes.process.stdout):
        stream.close()
    until(lambda: device.current == first and serving(device) == first)
    device.pipes.process.wait(20)
    device.pipes.process.stderr.close()


def test_a_supervisor_that_was_killed_leaves_no_second_service(device: Device) -> None:
    device.deploy("healthy 1")
    body = json.loads(Path(device.layout.run, "service.json").read_text())
    owner = daemon.holder(device.layout, "supervisor")
    assert owner is not None
    os.kill(int(owner[0]), signal.SIGKILL)
    until(lambda: daemon.holder(device.layout, "supervisor") is None)
    assert device.model() is not None, "the service is left behind"
    second, reply = device.deploy("healthy 2")
    assert reply["changed"] and serving(device) == second
    assert supervisor.birth(body["pid"]) != body["born"]


def test_daemons_that_were_killed_run_again_after_the_next_deploy(device: Device) -> None:
    first, _reply = device.deploy("healthy 1")
    before = service(device)
    for name in ("supervisor", "telemetry"):
        kill(device, name)
    assert not device.pipes.ask("activate", digest=first).header["changed"]
    for name in ("supervisor", "telemetry"):
        owner(device, name)
    time.sleep(1)  # as long as it takes to end what was adopted
    assert service(device) == before and serving(device) == first, "it was not interrupted"
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: serving(device) == first and device.model())
    daemon.stop(device.layout, "supervisor")


def test_an_adopted_service_ends_with_its_supervisor(device: Device) -> None:
    first, _reply = device.deploy("healthy 1")
    kill(device, "supervisor")
    device.pipes.ask("activate", digest=first)
    owner(device, "supervisor")
    time.sleep(0.5)
    daemon.stop(device.layout, "supervisor")
    assert serving(device) is None and device.model() is None


def test_a_new_agent_replaces_the_daemons_and_not_the_service(device: Device) -> None:
    first, _reply = device.deploy("healthy 1")
    names = ("supervisor", "telemetry")
    before, served = [owner(device, name) for name in names], service(device)
    agent = Path(device.pipes.process.args[3])
    assert agent.name == "agent.pyz"
    copy = agent.with_name("agent.new")
    copy.write_bytes(agent.read_bytes())
    copy.replace(agent)
    assert not device.pipes.ask("activate", digest=first).header["changed"]
    until(lambda: [owner(device, name)[1] for name in names] != [own[1] for own in before])
    for name, (pid, version) in zip(names, before, strict=True):
        until(lambda name=name, pid=pid: owner(device, name)[0] != pid)
        assert owner(device, name)[1] != version
    assert service(device) == served and serving(device) == first


def test_a_failed_activation_leaves_previous_as_it_was(device: Device) -> None:
    first, _reply = device.deploy("healthy 1")
    second, _reply = device.deploy("healthy 2")
    device.deploy("crash", deadline=1)
    assert (device.current, device.previous) == (second, first)


def test_a_service_that_dies_is_started_again(device: Device) -> None:
    first, _reply = device.deploy("healthy 1")
    pid = json.loads(Path(device.layout.run, "service.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: serving(device) is None)
    until(lambda: serving(device) == first and device.model())
    assert json.loads(Path(device.layout.run, "service.json").read_text())["restarts"] == 1


def test_a_stopped_supervisor_takes_its_service_along(device: Device) -> None:
    device.deploy("healthy 1")
    daemon.stop(device.layout, "supervisor")
    assert device.model() is None and serving(device) is None


def test_a_host_that_vanishes_ends_the_benchmark(device: Device) -> None:
    device.deploy("healthy 1")
    data = device.put(b"inputs")
    device.pipes.send({"op": "bench", "plan": {}, "data": data})
    pid = device.pipes.receive().header["progress"]["pid"]
    born = supervisor.birth(pid)
    assert born is not None
    for stream in (device.pipes.process.stdin, device.pipes.process.stdout):
        stream.close()
    assert device.pipes.process.wait(10) is not None
    until(lambda: supervisor.birth(pid) != born)
    device.pipes.process.stderr.close()


def test_a_model_of_no_release_runs_in_the_current_image(device: Device) -> None:
    current, _reply = device.deploy("healthy 1", model=b"deployed")
    data, told = device.put(b"inputs"), []
    for model in (b"candidate", b"deployed"):
        digest = device.put(model)
        fields = {"model": digest, "data": data, "plan": {"n": 1}, "manifest": {"options": {}}}
        device.pipes.send({"op": "probe", **fields})
        assert device.pipes.receive().header["progress"]["phase"] == "latency"
        reply = device.pipes.receive().header
        assert reply["release"] == current
        told.append(device.pipes.ask("read", name="seen", offset=0, size=99).payload)
        assert reply["files"] == {"seen": len(told[-1])}
        kept = Path(device.layout.blob(digest)).exists()
        assert kept == (model == b"deployed"), "what a release has stays"
    assert told[0] == b'candidate\ninputs\n{"options": {}}\n{"n": 1}\n'
    assert device.model() == digest_of(b"deployed"), "the service is as it was"


def test_a_probe_that_fails_says_why_and_leaves_no_blob(device: Device) -> None:
    device.deploy("healthy 1")
    Path(device.layout.image(current_config(device)), "behaviour").write_text("wrong")
    digest, data = device.put(b"candidate"), device.put(b"inputs")
    fields = {"model": digest, "data": data, "plan": {}, "manifest": {}}
    device.pipes.send({"op": "probe", **fields})
    while "progress" in (reply := device.pipes.receive().header):
        pass
    assert reply["error"]["kind"] == "VerificationFailed"
    assert "the model can't be loaded" in reply["error"]["hint"]
    assert not Path(device.layout.blob(digest)).exists()


def current_config(device: Device) -> str:
    assert device.current is not None
    release = Path(device.layout.release(device.current), "release.json")
    return str(json.loads(release.read_text())["image"]["config"])


def test_what_failed_halfway_is_prepared_again(device: Device) -> None:
    first = device.prepare("healthy 1")["digest"]
    image = next(Path(device.layout.images).iterdir())
    image.rename(image.with_name(f".partial-{image.name}"))
    Path(device.layout.release(first)).rename(
        Path(device.layout.releases, f".partial-{first.removeprefix('sha256:')}")
    )
    device._version -= 1  # the same release once more
    again = device.prepare("healthy 1")
    assert again["digest"] == first and again["unpacked"]
    assert not list(Path(device.layout.images).glob(".partial-*"))
