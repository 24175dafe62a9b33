"""What a live device says of itself: one script that asks, one pure function that reads.

The script is POSIX sh and needs neither python3 nor root, so that a bare device can be asked.
"""

from __future__ import annotations

import json
import re

from yardarm.artifacts import Facts, Jetson
from yardarm_wire import jetson

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
if [ -e /etc/nv_tegra_release ] || dpkg-query --show nvidia-l4t-core >/dev/null; then
PATH="$PATH:/usr/sbin:/sbin"
section packages; dpkg-query --show --showformat='${db:Status-Abbrev} ${Package} ${Version}\n' \
  nvidia-jetpack 'libnvinfer[0-9]*' 'libcudnn[0-9]*' 'cuda-cudart-[0-9]*'
section tensorrt; python3 -c 'import tensorrt; print(tensorrt.__version__)'
section mode; nvpmodel -q || cat /var/lib/nvpmodel/status
section modes; grep POWER_MODEL /etc/nvpmodel.conf; nvpmodel -p --verbose 2>&1 | grep POWER_MODEL
section clocks; jetson_clocks --show || {
  for core in /sys/devices/system/cpu/cpu[0-9]*/cpufreq; do
    name=${core%/cpufreq}; name=${name##*/}
    echo "$name: MinFreq=$(cat "$core/scaling_min_freq") MaxFreq=$(cat "$core/scaling_max_freq")"
  done
  for gpu in /sys/class/devfreq/*gpu* /sys/class/devfreq/*.ga10b /sys/class/devfreq/*.gv11b; do
    [ -e "$gpu/min_freq" ] &&
      echo "GPU MinFreq=$(cat "$gpu/min_freq") MaxFreq=$(cat "$gpu/max_freq")"
  done; }
section dla; ls -d /sys/bus/platform/devices/*.nvdla[0-9]
section dla-compiler; find /usr/lib/aarch64-linux-gnu/nvidia /usr/lib/aarch64-linux-gnu/tegra \
  -name libnvdla_compiler.so -size +0
section runtimes; docker info --format '{{json .Runtimes}}' || cat /etc/docker/daemon.json
section cdi; grep -ho 'nvidia\.com/gpu' /etc/cdi/* /var/run/cdi/* | head -n 1
fi
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
        jetpack=jetson.l4t(parts.get("l4t", "")),
        engines=_engines(parts),
        free_disk_mb=round(_free_kib(parts.get("disk", "")) * KIB),
        emulated=lab is not None,
        lab_profile=lab or "",
        jetson=_jetson(parts) if parts.get("l4t") else None,
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


def _engines(parts: dict[str, str]) -> dict[str, str]:
    """Podman's stand-in for docker calls itself podman, and does not count as docker."""
    said = {name: parts.get(name, "") for name in ("podman", "docker")}
    return {name: _version(text) for name, text in said.items() if text.lower().startswith(name)}


def _jetson(parts: dict[str, str]) -> Jetson:
    installed = jetson.packages(parts.get("packages", ""))
    modes = jetson.power_modes(parts.get("modes", ""))
    mode = jetson.power_mode(parts.get("mode", ""), modes)
    compiler = parts.get("dla-compiler")
    return Jetson(
        jetpack=jetson.jetpack(installed),
        tensorrt=jetson.tensorrt(installed),
        python_tensorrt=_version(parts.get("tensorrt", "")),
        cuda=jetson.cuda(installed),
        cudnn=jetson.cudnn(installed),
        power_mode=mode.name if mode else "",
        power_modes={each.name: each.id for each in modes if each.id is not None},
        clocks_pinned=jetson.clocks_pinned(parts.get("clocks", "")),
        dla=len(parts["dla"].split()) if "dla" in parts else None,
        dla_compiler=None if compiler is None else bool(compiler.strip()),
        nvidia={name: _nvidia(name, parts) for name in _engines(parts)},
    )


def _nvidia(engine: str, parts: dict[str, str]) -> bool | None:
    """Docker's runtimes are told to its group alone, and its settings may be absent."""
    if engine == "podman":
        return "nvidia.com/gpu" in parts["cdi"] if "cdi" in parts else None
    said = parts.get("runtimes", "").replace("null", "").strip()
    return bool(re.search(r'"nvidia"\s*:', said)) if said else None


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
