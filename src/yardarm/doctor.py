"""What Yardarm needs on this machine, judged from what was observed; nothing is asked here."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

PYTHON = (3, 11)
NEEDED_MB = 2_000
"""A Debian root with its packages, the wheels and the layers of one image, with some room."""

IMAGE_TOOLS = {"apt-get": "apt", "dpkg-deb": "dpkg", "mmdebstrap": "mmdebstrap"}
LAB_TOOLS = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
    "ssh-keygen": "openssh-client",
}


@dataclass(frozen=True)
class Machine:
    """What was observed.

    Attributes:
        python: version of the Python that runs Yardarm.
        system: `uname -s`.
        tools: programs that were found on the path.
        uv: path of uv's program, "" without it.
        binfmt: the kernel's entry for aarch64 programs, "" without one.
        root: whether we run as root.
        free_mb: folder ("cache", "store") to the room in it, in MB.
    """

    python: tuple[int, int, int]
    system: str
    tools: frozenset[str]
    uv: str
    binfmt: str
    root: bool
    free_mb: dict[str, int]


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        ok: whether it is as it should be.
        needed: without it no model gets onto a device; else only `serves` is lost.
        serves: what it is for.
        found: what there is.
        mend: what to do about it; "" when it is ok.
    """

    name: str
    ok: bool
    needed: bool
    serves: str
    found: str
    mend: str


def checks(machine: Machine) -> list[Check]:
    """Every finding, those that everything needs first."""
    return [*_everywhere(machine), *_image(machine), *_lab(machine)]


def healthy(found: list[Check]) -> bool:
    """Whether all that is needed is there; what is optional may be missing."""
    return all(check.ok for check in found if check.needed)


def _check(
    name: str, ok: bool, serves: str, found: str, mend: str, *, needed: bool = False
) -> Check:
    return Check(name, ok, needed, serves, found, "" if ok else mend)


def _everywhere(machine: Machine) -> Iterator[Check]:
    yield _check(
        "python",
        machine.python >= PYTHON,
        "everything",
        ".".join(str(part) for part in machine.python),
        "install Yardarm under Python 3.11 or newer",
        needed=True,
    )
    yield _check(
        "uv", bool(machine.uv), "image", machine.uv or "missing", "pip install uv", needed=True
    )
    for folder, free in machine.free_mb.items():
        yield _check(
            f"disk: {folder}",
            free >= NEEDED_MB,
            "image, lab" if folder == "cache" else "everything",
            f"{free} MB free",
            f"free {NEEDED_MB - free} MB, or move it: "
            + ("$XDG_CACHE_HOME" if folder == "cache" else "$YARDARM_STORE"),
            needed=True,
        )


def _image(machine: Machine) -> Iterator[Check]:
    for program, package in IMAGE_TOOLS.items():
        yield _tool(machine, program, package, "image, lab", needed=True)


def _lab(machine: Machine) -> Iterator[Check]:
    """Real devices need none of these."""
    for program, package in LAB_TOOLS.items():
        yield _tool(machine, program, package, "lab")
    yield _tool(machine, "qemu-aarch64-static", "qemu-user-static", "lab")
    registered, how = _registration(machine)
    yield _check("aarch64 in binfmt_misc", registered, "lab", *how)
    yield _check(
        "root",
        machine.root and machine.system == "Linux",
        "lab",
        f"{'root' if machine.root else 'no root'} on {machine.system}",
        "run `yardarm lab` as root on Linux (sudo); deploying to real devices needs no root",
    )


def _tool(
    machine: Machine, program: str, package: str, serves: str, *, needed: bool = False
) -> Check:
    there = program in machine.tools
    mend = "apt-get install " + shlex.quote(package)
    if machine.system != "Linux" or "apt-get" not in machine.tools:
        mend = f"use a Debian machine or container, where it is in the package {package}"
    return _check(program, there, serves, "found" if there else "missing", mend, needed=needed)


def _registration(machine: Machine) -> tuple[bool, tuple[str, str]]:
    """Whether the kernel starts aarch64 programs, also inside other roots (flag F)."""
    lines = machine.binfmt.splitlines()
    flags = next((line.partition(":")[2].strip() for line in lines if line[:6] == "flags:"), "")
    if "enabled" not in lines:
        mend = "apt-get install binfmt-support qemu-user-static; update-binfmts --enable"
        return False, ("disabled" if lines else "not registered", mend)
    if "F" not in flags:
        mend = "register it with flag F (fix binary), as the package qemu-user-static does"
        return False, (f"registered with flags {flags or 'none'}", mend)
    return True, (f"registered with flags {flags}", "")
