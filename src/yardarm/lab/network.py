"""One bridge for a lab, and a namespace with a cable to it for each device."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from yardarm import process
from yardarm.errors import UsageError, YardarmError
from yardarm.lab.names import Lab

_RUN = 10.0
_NAMESPACES = Path("/run/netns")


def subnet(tag: str, taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The /24 of 10.0.0.0/8 that the tag points at, or the next one that nobody routes to."""
    used = [network for network in taken if network.prefixlen > 0]
    start = int(tag, 16)
    for offset in range(256):
        place = (start + offset * 257) % 65536
        chosen = ipaddress.IPv4Network(f"10.{place >> 8}.{place & 255}.0/24")
        if not any(chosen.overlaps(network) for network in used):
            return chosen
    raise UsageError("no range of addresses is free for the lab", where="ip route")


def join(lab: Lab) -> ipaddress.IPv4Network:
    """The bridge's range; the bridge is made if it is not there."""
    found = _bridge_range(lab)
    if found:
        return found
    disconnect(lab)
    chosen = subnet(lab.tag, _routes())
    _batch(
        f"link add {lab.bridge} type bridge",
        f"addr add {chosen[1]}/24 dev {lab.bridge}",
        f"link set {lab.bridge} up",
    )
    return chosen


def _bridge_range(lab: Lab) -> ipaddress.IPv4Network | None:
    shown = process.run(["ip", "-j", "-4", "addr", "show", "dev", lab.bridge], check=False)
    for link in json.loads(shown.stdout or b"[]"):
        if "UP" in link.get("flags", ()):
            for entry in link.get("addr_info", ()):
                return ipaddress.IPv4Interface(f"{entry['local']}/{entry['prefixlen']}").network
    return None


def _routes() -> Iterable[ipaddress.IPv4Network]:
    shown = process.run(["ip", "-j", "-4", "route", "show", "table", "all"], timeout=_RUN)
    for route in json.loads(shown.stdout or b"[]"):
        if route["dst"] != "default":
            yield ipaddress.IPv4Network(route["dst"], strict=False)


def connect(lab: Lab, name: str, number: int, ip: str) -> None:
    """Make the device's namespace and cable."""
    namespace, outer = lab.namespace(name), lab.interface(number)
    _batch(
        f"netns add {namespace}",
        f"link add {outer} type veth peer name eth0 netns {namespace}",
        f"link set {outer} master {lab.bridge} up",
    )
    _batch("link set lo up", f"addr add {ip}/24 dev eth0", "link set eth0 up", inside=namespace)


def remove(lab: Lab, name: str, number: int | None) -> None:
    """Stop everything that runs in the device's namespace, then take namespace and cable away."""
    namespace = lab.namespace(name)
    with _held(namespace) as mark:
        _stop(mark)
        if number is not None:
            process.run(["ip", "link", "del", lab.interface(number)], check=False, timeout=_RUN)
        process.run(["ip", "netns", "del", namespace], check=False, timeout=_RUN)
        _stop(mark)  # what was on its way in while the namespace still had a name


def disconnect(lab: Lab) -> None:
    """Take the bridge away, if it is there."""
    process.run(["ip", "link", "del", lab.bridge], check=False, timeout=_RUN)


def processes(namespace: str) -> list[int]:
    """Processes whose network is the namespace; empty when there is none of that name."""
    with _held(namespace) as mark:
        return _inside(mark)


_Mark = tuple[int, int] | None


@contextmanager
def _held(namespace: str) -> Iterator[_Mark]:
    """The namespace's device and inode, None where there is none of that name. While it is held
    open the kernel gives them to no other."""
    try:
        stream = (_NAMESPACES / namespace).open("rb")
    except FileNotFoundError:
        yield None
        return
    with stream:
        status = os.fstat(stream.fileno())
        yield status.st_dev, status.st_ino


def _inside(mark: _Mark) -> list[int]:
    if mark is None:
        return []
    entries = (entry.name for entry in Path("/proc").iterdir())
    return [int(name) for name in entries if name.isdigit() and _mark(int(name)) == mark]


def _mark(pid: int) -> _Mark:
    try:
        status = Path(f"/proc/{pid}/ns/net").stat()
    except OSError:  # it has ended, or is a zombie
        return None
    return status.st_dev, status.st_ino


def _stop(mark: _Mark) -> None:
    deadline = time.monotonic() + 20
    while pids := _inside(mark):
        if time.monotonic() > deadline:
            raise YardarmError(f"processes of the lab device don't end: {pids}")
        for pid in pids:
            _kill(pid)
        time.sleep(0.02)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _batch(*lines: str, inside: str = "") -> None:
    where = ["-n", inside] if inside else []
    process.run(["ip", *where, "-batch", "-"], stdin="\n".join(lines).encode(), timeout=_RUN)
