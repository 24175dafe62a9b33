"""What the doctor makes of observed machines."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from yardarm import doctor
from yardarm.doctor import Machine

TOOLS = frozenset((*doctor.IMAGE_TOOLS, *doctor.LAB_TOOLS, "qemu-aarch64-static"))
WHOLE = Machine(
    python=(3, 11, 2),
    system="Linux",
    tools=TOOLS,
    uv="/usr/bin/uv",
    binfmt="enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: PF\noffset 0\n",
    root=True,
    free_mb={"cache": 9_000, "store": 9_000},
)


def test_whole_machine_has_nothing_to_mend() -> None:
    found = doctor.checks(WHOLE)
    assert doctor.healthy(found)
    assert [check.mend for check in found] == [""] * len(found)


@pytest.mark.parametrize(
    ("change", "name", "healthy", "mend"),
    [
        ({"python": (3, 10, 4)}, "python", False, "Python 3.11"),
        ({"uv": ""}, "uv", False, "pip install uv"),
        ({"free_mb": {"cache": 500, "store": 9_000}}, "disk: cache", False, "XDG_CACHE_HOME"),
        ({"free_mb": {"cache": 9_000, "store": 1_999}}, "disk: store", False, "YARDARM_STORE"),
        ({"tools": TOOLS - {"mmdebstrap"}}, "mmdebstrap", False, "apt-get install mmdebstrap"),
        ({"tools": TOOLS - {"ip"}}, "ip", True, "apt-get install iproute2"),
        ({"tools": TOOLS - {"apt-get"}}, "apt-get", False, "Debian machine"),
        ({"root": False}, "root", True, "real devices needs no root"),
        ({"system": "Darwin"}, "root", True, "Linux"),
        ({"binfmt": ""}, "aarch64 in binfmt_misc", True, "update-binfmts"),
        ({"binfmt": "disabled\nflags: PF\n"}, "aarch64 in binfmt_misc", True, "update-binfmts"),
        ({"binfmt": "enabled\nflags: P\n"}, "aarch64 in binfmt_misc", True, "flag F"),
    ],
)
def test_each_miss_is_named_and_mended(
    change: dict[str, Any], name: str, healthy: bool, mend: str
) -> None:
    found = doctor.checks(dataclasses.replace(WHOLE, **change))
    (missed,) = [check for check in found if not check.ok]
    assert missed.name == name
    assert mend in missed.mend
    assert doctor.healthy(found) is healthy
    assert missed.needed is not healthy
