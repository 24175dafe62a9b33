"""The lab's pure parts: names, ranges, the processor shown, files written."""

import ipaddress
import os
import stat
from pathlib import Path

import pytest

from yardarm import lab, profiles
from yardarm.errors import Unreachable, UsageError
from yardarm.lab import cpuinfo, names, network, root, state
from yardarm.lab.names import Lab
from yardarm.lab.state import State


@pytest.mark.parametrize("name", ["a", "pi-5", "7", "a" * 32])
def test_names_that_a_host_may_have(name: str) -> None:
    assert names.check(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "../x", "a" * 33, "a b", "a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        names.check(name)


def test_interfaces_fit_the_kernel_and_differ_by_folder() -> None:
    one, two = Lab(Path("/one")), Lab(Path("/two"))
    assert len(one.interface(254)) <= 15
    assert {one.bridge, one.interface(2), one.namespace("a")}.isdisjoint(
        {two.bridge, two.interface(2), two.namespace("a")}
    )


def test_a_range_that_is_routed_already_is_left_alone() -> None:
    first = network.subnet("0a0b0c", [])
    assert first.subnet_of(ipaddress.IPv4Network("10.0.0.0/8"))
    assert network.subnet("0a0b0c", [ipaddress.IPv4Network("0.0.0.0/0")]) == first
    second = network.subnet("0a0b0c", [first])
    assert not second.overlaps(first)


def test_no_range_left() -> None:
    with pytest.raises(UsageError):
        network.subnet("0a0b0c", [ipaddress.IPv4Network("10.0.0.0/8")])


@pytest.mark.parametrize(
    ("profile", "part", "model"),
    [
        ("raspberry-pi-zero-2w", "0xd03", "cortex-a53"),
        ("raspberry-pi-4b", "0xd08", "cortex-a72"),
        ("raspberry-pi-5", "0xd0b", "cortex-a76"),
        ("jetson-orin-nano-8gb", "0xd42", "cortex-a76"),
        ("jetson-agx-thor", "0xd83", "max"),
    ],
)
def test_the_processor_is_the_profiles(profile: str, part: str, model: str) -> None:
    cpu = profiles.load(profile).cpu
    shown = cpuinfo.text(cpu)
    assert f"CPU part\t: {part}\n" in shown
    assert f"Features\t: {' '.join(cpu.features)}\n" in shown
    assert cpuinfo.qemu_model(cpu) == model


def test_no_more_cores_are_shown_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = profiles.load("raspberry-pi-5").cpu
    for here, shown in ((1, 1), (64, 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, n=here: set(range(n)))
        assert cpuinfo.text(cpu).count("processor\t:") == shown


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("YARDARM_LAB", str(tmp_path))
    return Lab(tmp_path)


def test_numbers_are_reused_when_free(place: Lab) -> None:
    for name, number in (("a", 2), ("b", 4)):
        state.write(place, State(name, "p", number, "", "", "up"))
    assert state.free_number(place) == 3


def test_a_torn_state_counts_as_none(place: Lab) -> None:
    place.device("torn").mkdir(parents=True)
    (place.device("torn") / "state.json").write_text('{"name": "to')
    assert list(state.every(place)) == [("torn", None)]
    assert [(device.name, device.status) for device in lab.devices()] == [("torn", "dead")]


def test_a_device_that_is_not_up_says_how_to_start_it(place: Lab) -> None:
    with pytest.raises(Unreachable) as missing:
        lab.address("nowhere")
    assert missing.value.hint == "`yardarm lab up nowhere`"


def test_keys_are_private_and_kept_whatever_the_umask(place: Lab) -> None:
    device = State("a", "raspberry-pi-5", 2, "10.0.0.2", "/base", "starting")
    state.write(place, device)
    before = os.umask(0o077)
    try:
        root.furnish(place, device, profiles.load("raspberry-pi-5"))
        own = place.device("a")
        key = (own / "host_key").read_text()
        root.furnish(place, device, profiles.load("raspberry-pi-5"))
    finally:
        os.umask(before)
    assert (own / "host_key").read_text() == key
    assert [_mode(own / name) for name in ("", "host_key", "client_key")] == [0o700, 0o600, 0o600]
    upper = own / "upper"
    assert [_mode(upper / name) for name in ("", "etc", "sys", "root")] == [0o755] * 3 + [0o700]
    assert _mode(upper / "etc/yardarm-lab") == 0o644
    assert (own / "known_hosts").read_text().startswith("10.0.0.2 ssh-ed25519 ")
    model = (upper / "sys/firmware/devicetree/base/model").read_text()
    assert model.startswith("Raspberry Pi 5") and model.endswith("(emulated)\0")


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)
