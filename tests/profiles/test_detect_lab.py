"""`yardarm detect` of an emulated aarch64 device: a real arm64 userland behind a real sshd."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from yardarm import lab, profiles

Cli = Callable[..., Any]


@pytest.mark.root
def test_lab_device_is_detected_as_what_it_plays(cli: Cli) -> None:
    name = f"detect{os.getpid()}"
    lab.up(name, profiles.load("jetson-orin-nano-4gb"))
    try:
        found = cli("detect", f"lab:{name}", "--json").json
        shown = cli("detect", f"lab:{name}").stdout
    finally:
        lab.down(name)
    assert found["profile"] == "jetson-orin-nano-4gb"
    told = found["facts"]
    assert (told["machine"], told["userland_bits"]) == ("aarch64", 64)
    assert (told["cpu_part"], told["emulated"]) == ("0xd42", True)
    assert told["features"] == list(profiles.load("jetson-orin-nano-4gb").cpu.features)
    assert told["python"].startswith("3.")
    assert told["glibc"].startswith("2.")
    hosts = [line for line in shown.splitlines() if "emulated: the host's" in line]
    assert [line.split()[0] for line in hosts] == ["memory", "free"]
    assert max(map(len, shown.splitlines())) <= 80
