"""What a Jetson's own tools print, read by pure functions; host and agent share them.

Every reader takes anything: what a tool did not say is None or empty, never a guess. Ids of
power modes differ between modules and JetPacks, so that only the device itself is asked.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

QUERY = ("nvpmodel", "-q")
"""Tells the power mode; needs no root, though it complains on stderr without."""

MODES = ("nvpmodel", "-p", "--verbose")
"""Lists the power modes."""

MODES_FILE = "/etc/nvpmodel.conf"
"""Where the modes are defined, should nvpmodel not list them."""

CLOCKS = ("jetson_clocks", "--show")
"""Tells the ranges of clocks; needs root."""

RELEASE_FILE = "/etc/nv_tegra_release"

_RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_MODE = re.compile(r"POWER_MODEL:? ID=(\d+) NAME=([^\s>]+)")
_NOW = re.compile(r"NV Power Mode: *(\S.*?)\s*$(?:\s^\s*(\d+)\s*$)?", re.MULTILINE)
_STATUS = re.compile(r"pmode:(\d+)")
_RANGE = re.compile(
    r"^\s*(cpu\d+|GPU|gpu-gpc-\d+):?\s(.*?)MinFreq=(\d+) MaxFreq=(\d+)", re.MULTILINE
)


class PowerMode(NamedTuple):
    """A power mode as the device names it, such as "MAXN", "15W" or "MODE_30W".

    `id` is None where the device tells only the name.
    """

    id: Optional[int]
    name: str


def l4t(text: str) -> str:
    """The L4T release, such as "36.4.3", "" where none is told.

    Args:
        text: /etc/nv_tegra_release, or the version of the package nvidia-l4t-core.
    """
    written = _RELEASE.search(text)
    if written:
        return "{}.{}".format(*written.groups())
    found = _VERSION.search(text)
    return found.group() if found else ""


def power_modes(text: str) -> Tuple[PowerMode, ...]:
    """The modes that `nvpmodel -p --verbose` lists or /etc/nvpmodel.conf defines, by id."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = {int(number): name for number, name in _MODE.findall("\n".join(lines))}
    return tuple(PowerMode(number, found[number]) for number in sorted(found))


def power_mode(text: str, modes: Tuple[PowerMode, ...] = ()) -> Optional[PowerMode]:
    """The mode that is set, None where the device does not say.

    Args:
        text: what `nvpmodel -q` printed, or /var/lib/nvpmodel/status, which has an id alone.
        modes: all modes, to give that id its name.
    """
    now = _NOW.search(text)
    if now:
        return PowerMode(int(now.group(2)) if now.group(2) else None, now.group(1))
    status = _STATUS.search(text)
    named = [mode for mode in modes if status and mode.id == int(status.group(1))]
    return named[0] if named else None


def clocks_pinned(text: str) -> Optional[bool]:
    """Whether clocks can't move, as after `jetson_clocks`; None where that is not told.

    Args:
        text: what `jetson_clocks --show` printed, or lines of that form read from sysfs.
    """
    ranges = [
        (name.startswith("cpu"), low == high)
        for name, between, low, high in _RANGE.findall(text)
        if "Online=0" not in between
    ]
    if {is_cpu for is_cpu, _ in ranges} != {True, False}:
        return None
    return all(pinned for _, pinned in ranges)


def packages(text: str) -> Dict[str, str]:
    """Name to version of what is installed, from `dpkg -l` or `dpkg-query --show`.

    Names lose their architecture (`:arm64`).
    """
    found = {}  # type: Dict[str, str]
    for line in text.splitlines():
        fields = line.split()
        fields = fields[1:] if fields[:1] == ["ii"] else fields
        if len(fields) >= 2 and fields[1][0].isdigit():
            found[fields[0].split(":")[0]] = fields[1]
    return found


def tensorrt(installed: Dict[str, str]) -> str:
    """The version of TensorRT's library, such as "10.3.0.30", "" without it."""
    return _newest(installed, r"libnvinfer\d+")


def cudnn(installed: Dict[str, str]) -> str:
    """The version of cuDNN's library, "" without it."""
    return _newest(installed, r"libcudnn\d+(-cuda-\d+)?")


def cuda(installed: Dict[str, str]) -> str:
    """The version of CUDA's runtime, such as "12.6", "" without it; the newest of several."""
    names = [re.fullmatch(r"cuda-cudart-(\d+)-(\d+)", name) for name in installed]
    found = [(int(name.group(1)), int(name.group(2))) for name in names if name]
    return "{}.{}".format(*max(found)) if found else ""


def jetpack(installed: Dict[str, str]) -> str:
    """The version of the package nvidia-jetpack, such as "6.2.1"; many devices lack it."""
    found = _VERSION.match(installed.get("nvidia-jetpack", ""))
    return found.group() if found else ""


def _newest(installed: Dict[str, str], pattern: str) -> str:
    """The version of a library, without its Debian revision and what it was built for."""
    versions = [
        found.group()
        for name, version in installed.items()
        for found in [_VERSION.match(version)]
        if found and re.fullmatch(pattern, name)
    ]
    return max(versions, key=_order) if versions else ""


def _order(version: str) -> List[int]:
    return [int(part) for part in version.split(".")]
