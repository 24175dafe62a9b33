"""Real lab devices: what one is, and that nothing of it is left in the ways it can end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab_fixtures import on
from yardarm import lab, profiles
from yardarm.errors import Unreachable, UsageError
from yardarm.lab import LabDevice, network
from yardarm.lab.names import Lab

pytestmark = pytest.mark.root

PI = profiles.load("raspberry-pi-5")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab of this test alone."""
    monkeypatch.setenv("YARDARM_LAB", str(tmp_path))
    yield Lab(tmp_path)
    for device in lab.devices():
        lab.down(device.name)


def left(place: Lab) -> list[str]:
    """What there is of a lab on this machine: links, namespaces, mounts, processes, files."""
    links = json.loads(subprocess.check_output(["ip", "-j", "link"]))
    found = [link["ifname"] for link in links if place.tag in link["ifname"]]
    found += [str(path) for path in Path("/run/netns").glob(f"*{place.tag}*")]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [line for line in mounts if place.tag in line or str(place.folder) in line]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if bytes(place.folder) in b" ".join(words) and str(os.getpid()) != entry.parent.name:
            found.append(str(words))
    return found + [str(path) for path in place.folder.glob("devices/*")]


def command(*words: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "yardarm", "lab", *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes], seconds: float = 120) -> int:
    process.communicate(timeout=seconds)
    return process.returncode


def test_a_device_is_an_arm_machine(lab_device: LabDevice) -> None:
    at = lab_device.address
    assert on(at, "uname -m; hostname") == "aarch64\nshared\n"
    assert "CPU part\t: 0xd0b\n" in on(at, "cat /proc/cpuinfo")
    assert on(at, "python3 -c 'import platform; print(platform.machine())'") == "aarch64\n"
    assert json.loads(on(at, "cat /etc/yardarm-lab"))["profile"] == "raspberry-pi-5"
    assert on(at, "cat /sys/firmware/devicetree/base/model").startswith("Raspberry Pi 5")
    assert on(at, "ls /sys") == "devices\nfirmware\n"
    assert on(at, "ls -d /dev/null /dev/urandom /dev/shm").count("\n") == 3


def test_a_device_can_give_a_release_a_root_of_its_own(lab_device: LabDevice) -> None:
    inside = "mount --rbind /proc /mnt && grep -c 0xd0b /mnt/cpuinfo"
    chroot = "mount --bind / /tmp && mount --rbind /proc /tmp/proc && chroot /tmp uname -m"
    assert int(on(lab_device.address, f"unshare -m sh -c '{inside}'")) > 0
    assert on(lab_device.address, f"unshare -m sh -c '{chroot}'") == "aarch64\n"
    assert on(lab_device.address, "ls /mnt; grep -c ' /mnt ' /proc/mounts || true") == "0\n"


def test_a_service_on_loopback_is_reached_within(lab_device: LabDevice) -> None:
    script = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname())
print("reached")
"""
    assert on(lab_device.address, f"python3 -c '{script}'") == "reached\n"


def test_a_second_up_returns_the_same_device(lab_device: LabDevice) -> None:
    begun = "cut -d ' ' -f 22 /proc/1/stat"
    before = on(lab_device.address, begun)
    assert lab.up("shared", PI) == lab_device
    assert on(lab_device.address, begun) == before
    with pytest.raises(UsageError, match="is a raspberry-pi-5"):
        lab.up("shared", profiles.load("raspberry-pi-4b"))


def test_another_host_key_is_not_trusted(lab_device: LabDevice, tmp_path: Path) -> None:
    wrong = tmp_path / "known_hosts"
    key = (lab_device.folder / "client_key.pub").read_text().split()[1]
    wrong.write_text(f"{lab_device.ip} ssh-ed25519 {key}\n")
    argv = ["ssh", "-F", "none", "-i", str(lab_device.address.identity), "-o", "BatchMode=yes"]
    argv += ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={wrong}"]
    done = subprocess.run(
        [*argv, f"root@{lab_device.ip}", "true"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 255 and "verification failed" in done.stderr


def test_two_devices_see_each_other_and_leave_nothing(place: Lab) -> None:
    one, two = lab.up("one", PI), lab.up("two", profiles.load("raspberry-pi-4b"))
    assert "CPU part\t: 0xd08\n" in on(two.address, "cat /proc/cpuinfo")
    reach = f'import socket; print(socket.create_connection(("{two.ip}", 22)).recv(3))'
    assert on(one.address, f"python3 -c '{reach}'") == "b'SSH'\n"
    assert {device.name: device.status for device in lab.devices()} == {"one": "up", "two": "up"}
    on(one.address, "setsid --fork sleep 300 </dev/null >/dev/null 2>&1")
    lab.down("one")
    assert on(two.address, "echo still here") == "still here\n"
    lab.down("two")
    assert left(place) == []


def test_the_device_outlives_the_command_that_started_it(place: Lab) -> None:
    started = command("up", "pi", "--json")
    output, _ = started.communicate(timeout=120)
    assert json.loads(output)["status"] == "up"
    assert on(lab.address("pi"), "uname -m") == "aarch64\n"
    assert finish(command("down", "pi")) == 0
    assert left(place) == []


def test_a_dead_device_comes_back_with_its_files(place: Lab) -> None:
    device = lab.up("pi", PI)
    on(device.address, "echo kept > /root/file; echo lost > /tmp/file")
    network.remove(place, "pi", 2)  # as a reboot of this machine does
    network.disconnect(place)
    assert [found.status for found in lab.devices()] == ["dead"]
    with pytest.raises(Unreachable):
        lab.address("pi")
    again = lab.up("pi", PI)
    assert on(again.address, "cat /root/file; ls /tmp") == "kept\n"
    lab.down("pi")
    assert left(place) == []


def test_a_device_whose_processes_were_killed_is_removed(place: Lab) -> None:
    device = lab.up("pi", PI)
    for pid in network.processes(device.namespace):
        os.kill(pid, signal.SIGKILL)
    _until(lambda: not network.processes(device.namespace))
    assert [found.status for found in lab.devices()] == ["dead"]
    lab.down("pi")
    assert left(place) == []


MOMENTS = ("state.json", "known_hosts", "console.log")


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_up_leaves_nothing(place: Lab, moment: str) -> None:
    started = command("up", "pi")
    _until((place.device("pi") / moment).exists)
    started.send_signal(signal.SIGINT)
    assert finish(started) == 130
    assert left(place) == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_up_is_found_and_cleaned_up(place: Lab, moment: str) -> None:
    started = command("up", "pi")
    _until((place.device("pi") / moment).exists)
    started.kill()
    finish(started)
    assert [(found.name, found.status) for found in lab.devices()] == [("pi", "dead")]
    if moment == "console.log":
        assert lab.up("pi", PI).status == "up"
    lab.down("pi")
    assert left(place) == []


def test_down_of_a_device_that_never_was(place: Lab) -> None:
    with pytest.raises(UsageError, match="no lab device nix"):
        lab.down("nix")


def _until(happened, seconds: float = 60) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_the_verbs(place: Lab, cli: Callable[..., Any]) -> None:
    assert cli("lab", "list").stdout.startswith("no lab devices")
    cli("lab", "down", code=2)
    said = cli("lab", "up", "orin", "--profile", "jetson-orin-nano-8gb")
    assert "emulated: latency is not the device's" in said.stderr
    assert "CPU part only" in said.stderr
    [listed] = cli("lab", "list", "--json").json
    assert (listed["name"], listed["status"], listed["emulated"]) == ("orin", "up", True)
    assert cli("lab", "ssh", "orin", "--", "grep -c 0xd42 /proc/cpuinfo").stdout.strip() > "0"
    assert cli("lab", "down", "--all", "--json").json == {"removed": ["orin"]}
    assert left(place) == []
