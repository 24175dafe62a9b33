"""Lab devices as their users see them: up, down, list, address."""

from __future__ import annotations

import fcntl
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from yardarm.artifacts import EMULATED, Address
from yardarm.errors import Unreachable, UsageError
from yardarm.events import Note, Sink, silent, step
from yardarm.lab import boot, cpuinfo, machine, names, network, root, state
from yardarm.lab.names import Lab
from yardarm.lab.state import State
from yardarm.profiles import Profile
from yardarm.store.lock import exclusive

_WAIT = 120.0


@dataclass(frozen=True)
class LabDevice:
    """A virtual ARM device on this machine.

    Attributes:
        status: "up"; "starting" while `up` works on it; "dead" when it was interrupted, or its
            processes are gone: `up` revives it, `down` removes it.
        namespace: its network namespace, as `ip netns` knows it.
        folder: its state on the host; `upper` below it holds what the device wrote.
    """

    name: str
    profile: str
    status: Literal["up", "starting", "dead"]
    ip: str
    namespace: str
    folder: Path

    @property
    def address(self) -> Address:
        return Address(
            f"lab:{self.name}",
            self.ip,
            user="root",
            identity=self.folder / "client_key",
            known_hosts=self.folder / "known_hosts",
            emulated=True,
        )


def up(name: str, profile: Profile, sink: Sink = silent) -> LabDevice:
    """Start a device, or return it if it is up already. A dead one is started again with its
    files; one that was interrupted half-made is made anew.

    Raises:
        UsageError: a bad name, not root, or the name is up with another profile.
        Unsupported: this machine lacks qemu-user, mmdebstrap or apt.
    """
    lab = Lab(names.folder())
    names.check(name)
    machine.check_root()
    sink(Note(EMULATED))
    if profile.family == "jetson":
        sink(Note(f"{name}: a {profile.title}'s CPU part only, on Debian; no GPU, no TensorRT"))
    machine.check()
    machine.check_filesystem(lab.folder)
    base = root.shared(profile, sink)
    with exclusive(lab.lock, f"lab up {name}", wait=_WAIT), step(sink, "lab", "start") as progress:
        found = state.read(lab.device(name))
        _check_profile(found, profile)
        if found and _is_up(lab, found):
            progress.cached, progress.detail = True, f"{name} is up already"
            return _view(lab, found, "up")
        known = _recover(lab, name, found, base)
        started = _start(lab, known, name, profile, base)
        progress.detail = f"{name} at {started.ip}" + (", with its files" if known else "")
    return _view(lab, started, "up")


def _check_profile(found: State | None, profile: Profile) -> None:
    if found and found.profile != profile.name:
        raise UsageError(
            f"lab device {found.name} is a {found.profile}",
            hint=f"`yardarm lab down {found.name}` first, or another name",
        )


def _recover(lab: Lab, name: str, found: State | None, base: Path) -> State | None:
    """Clear away what died; None when the device is to be made from nothing."""
    network.remove(lab, name, found.number if found else None)
    if found and found.phase == "up" and found.base == str(base):
        return found
    _forget(lab, name)
    return None


def _start(lab: Lab, known: State | None, name: str, profile: Profile, base: Path) -> State:
    """On any error or interrupt a new device leaves nothing behind, a known one its files."""
    number = known.number if known else state.free_number(lab)
    wanted = known or State(name, profile.name, number, "", str(base), "starting")
    state.write(lab, wanted)
    try:
        wanted = replace(wanted, ip=str(network.join(lab)[number]))
        network.connect(lab, name, number, wanted.ip)
        root.furnish(lab, wanted, profile)
        boot.start(lab, wanted, cpuinfo.qemu_model(profile.cpu))
        boot.await_ssh(lab, wanted)
        wanted = replace(wanted, phase="up")
        state.write(lab, wanted)
    except BaseException:
        network.remove(lab, name, number)
        if known is None:
            _forget(lab, name)
        _tidy(lab)
        raise
    return wanted


def down(name: str) -> None:
    """Stop a device and remove everything of it.

    Raises:
        UsageError: there is no such device, or not root.
    """
    lab = Lab(names.folder())
    names.check(name)
    if not lab.device(name).is_dir():
        raise UsageError(f"there is no lab device {name}", hint="`yardarm lab list` lists them")
    machine.check_root()
    with exclusive(lab.lock, f"lab down {name}", wait=_WAIT):
        found = state.read(lab.device(name))
        network.remove(lab, name, found.number if found else None)
        _forget(lab, name)
        _tidy(lab)


def devices() -> list[LabDevice]:
    """The lab's devices, by name."""
    lab = Lab(names.folder())
    working = _locked(lab)
    unknown = State("", "", 0, "", "", "starting")
    return [
        _view(lab, replace(found or unknown, name=name), _status(lab, found, working))
        for name, found in state.every(lab)
    ]


def address(name: str) -> Address:
    """How to reach a device that is up.

    Raises:
        Unreachable: it is not up.
    """
    lab = Lab(names.folder())
    found = state.read(lab.device(names.check(name)))
    if found is None or not _is_up(lab, found):
        what = "is not up" if found is None else "is dead"
        raise Unreachable(
            f"lab device {name} {what}", where=f"lab:{name}", hint=f"`yardarm lab up {name}`"
        )
    return _view(lab, found, "up").address


def _is_up(lab: Lab, found: State) -> bool:
    if found.phase != "up" or not network.processes(lab.namespace(found.name)):
        return False
    return boot.answers(found.ip)


def _status(lab: Lab, found: State | None, working: bool) -> Literal["up", "starting", "dead"]:
    if found and _is_up(lab, found):
        return "up"
    return "starting" if working and (found is None or found.phase == "starting") else "dead"


def _view(lab: Lab, found: State, status: Literal["up", "starting", "dead"]) -> LabDevice:
    own = lab.device(found.name)
    return LabDevice(found.name, found.profile, status, found.ip, lab.namespace(found.name), own)


def _forget(lab: Lab, name: str) -> None:
    if lab.device(name).exists():
        shutil.rmtree(lab.device(name))


def _tidy(lab: Lab) -> None:
    """The bridge goes with the last device."""
    if not any(state.every(lab)):
        network.disconnect(lab)


def _locked(lab: Lab) -> bool:
    try:
        with lab.lock.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
