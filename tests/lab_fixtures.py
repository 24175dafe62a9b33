"""Lab devices for tests: in a folder, and so on a bridge, of their own.

`lab_device` and `lab_folder` are there for every test (tests/conftest.py names this plugin);
`from lab_fixtures import on` runs commands on a device. Mark such tests `root`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from yardarm import lab, profiles
from yardarm.artifacts import Address
from yardarm.lab import LabDevice


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`$YARDARM_LAB` for the session; every device in it is removed at the end."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YARDARM_LAB", str(folder))
        try:
            yield folder
        finally:
            for device in lab.devices():
                lab.down(device.name)


@pytest.fixture(scope="session")
def lab_device(lab_folder: Path) -> LabDevice:
    """A Raspberry Pi 5 that is up: shared, so leave it as you found it."""
    return lab.up("shared", profiles.load("raspberry-pi-5"))


def on(address: Address, command: str, timeout: float = 60) -> str:
    """What a shell command prints on the device, through the `ssh` program; checked."""
    argv = ["ssh", "-F", "none", "-i", str(address.identity), "-o", "BatchMode=yes"]
    argv += ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={address.known_hosts}"]
    argv += [f"{address.user}@{address.hostname}", "--", command]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
