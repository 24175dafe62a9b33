"""What a live device says of itself: one script that asks, one pure function that reads.

The script is POSIX sh and needs neither python3 nor root, so that a bare device can be asked.
"""

from __future__ import annotations

import json
import re

from yardarm.artifacts import Facts

SCRIPT = r"""
section() { printf '\n@@ %s\n' "$1"; }
LC_ALL=C; export LC_ALL
{
section model; cat /sys/firmware/devicetree/base/model || cat /proc/device-tree/model
section machine; uname -m
section bits; getconf LONG_BIT || od -An -tu1 -j4 -N1 /bin/sh
section cores; grep -c '^processor' /proc/cpuinfo
section cpuinfo; sed '/^[[:space:]]*$/q' /proc/cpuinfo
section memory; grep '^MemTotal:' /proc/meminfo
section os; cat /etc/os-release
section glibc; getconf GNU_LIBC_VERSION || ldd --version || for loader in /lib/ld-linux-*.so.*
do "$loader" --version && break; done
section python; python3 --version
section l4t; head -n 1 /etc/nv_tegra_release ||
  dpkg-query --showformat='${Version}\n' --show nvidia-l4t-core
section podman; podman --version
section docker; docker --version
section disk; df -Pk /var/lib | tail -n 1
section lab; cat /etc/yardarm-lab
section end
} 2>/dev/null </dev/null
"""
"""Feed it to `sh -s`. It ends with the section `end`; a missing tool or file leaves a section
empty. The braces make the shell read all of it before a command could take its stdin."""

KIB = 1024 / 1e6
"""MB in a KiB."""

_VERSION = re.compile(r"\d+(?:\.\d+)+")


def parse(text: str) -> Facts:
    """Read what SCRIPT printed. What is missing becomes "" or 0, never a guess."""
    parts = _sections(text.replace("\0", ""))
    cpu = _pairs(parts.get("cpuinfo", ""), ":")
    lab = _lab(parts.get("lab", ""))
    return Facts(
        model=parts.get("model", "").strip(),
        machine=parts.get("machine", "").strip(),
        userland_bits=_bits(parts.get("bits", "")),
        cores=_number(parts.get("cores", "")),
        cpu_part=cpu.get("CPU part", ""),
        features=tuple(cpu.get("Features", cpu.get("flags", "")).split()),
        memory_mb=round(_number(parts.get("memory", "")) * KIB),
        os=_pairs(parts.get("os", ""), "=").get("PRETTY_NAME", "").strip("\"'"),
        glibc=_glibc(parts.get("glibc", "")),
        python=_version(parts.get("python", "")),
        jetpack=_l4t(parts.get("l4t", "")),
        engines=_engines(parts),
        free_disk_mb=round(_free_kib(parts.get("disk", "")) * KIB),
        emulated=lab is not None,
        lab_profile=lab or "",
    )


def complete(text: str) -> bool:
    """Whether the script reached its end."""
    return "end" in _sections(text)


def _sections(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for block in re.split(r"^@@ ", text, flags=re.MULTILINE)[1:]:
        name, _, body = block.partition("\n")
        found[name.strip()] = body.strip("\n")
    return found


def _pairs(text: str, sign: str) -> dict[str, str]:
    lines = (line.partition(sign) for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _number(text: str) -> int:
    found = re.search(r"\d+", text)
    return int(found.group()) if found else 0


def _version(text: str) -> str:
    found = _VERSION.search(text)
    return found.group() if found else ""


def _bits(text: str) -> int:
    """`getconf` prints 32 or 64; the fifth byte of an ELF file is 1 or 2."""
    return {1: 32, 2: 64}.get(_number(text), _number(text))


def _glibc(text: str) -> str:
    """The version ends the first line of `ldd` and `getconf`; loaders end it with a full stop."""
    lines = text.splitlines()
    found = _VERSION.findall(lines[0]) if lines else []
    return found[-1] if found else ""


def _l4t(text: str) -> str:
    """`# R36 (release), REVISION: 4.0, …`, or the version of the package nvidia-l4t-core."""
    written = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{written[1]}.{written[2]}" if written else _version(text)


def _engines(parts: dict[str, str]) -> dict[str, str]:
    """Podman's stand-in for docker calls itself podman, and does not count as docker."""
    said = {name: parts.get(name, "") for name in ("podman", "docker")}
    return {name: _version(text) for name, text in said.items() if text.lower().startswith(name)}


def _free_kib(line: str) -> int:
    """`df -Pk`: file system, blocks, used, available, use, mounted on."""
    fields = line.split()
    return int(fields[3]) if len(fields) >= 6 and fields[3].isdecimal() else 0


def _lab(text: str) -> str | None:
    """The profile that a lab device plays; None on a real one."""
    if not text.strip():
        return None
    try:
        return str(json.loads(text).get("profile", ""))
    except (json.JSONDecodeError, AttributeError):
        return ""
