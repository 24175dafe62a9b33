"""The ARM processor that a lab device shows and runs on.

The host's own /proc/cpuinfo must not be seen: libraries that pick kernels by it (ONNX Runtime
among them) crash when it describes x86.
"""

from __future__ import annotations

import os

from yardarm.profiles import Cpu

_QEMU = {"0xd03": "cortex-a53", "0xd08": "cortex-a72", "0xd0b": "cortex-a76"}


def text(cpu: Cpu) -> str:
    """/proc/cpuinfo as an arm64 kernel prints it, with no more cores than this machine has."""
    return "\n".join(_core(cpu, number) for number in range(cores(cpu))) + "\n"


def cores(cpu: Cpu) -> int:
    return min(cpu.cores, len(os.sched_getaffinity(0)))


def lists(cpu: Cpu) -> dict[str, str]:
    """Files below /sys/devices/system/cpu: without them libraries take no notice of cpuinfo."""
    shown = "0" if cores(cpu) == 1 else f"0-{cores(cpu) - 1}"
    return dict.fromkeys(("possible", "present", "online"), f"{shown}\n")


def _core(cpu: Cpu, number: int) -> str:
    fields = {
        "processor": number,
        "BogoMIPS": "100.00",
        "Features": " ".join(cpu.features),
        "CPU implementer": cpu.implementer,
        "CPU architecture": 8,
        "CPU variant": "0x0",
        "CPU part": cpu.part,
        "CPU revision": 0,
    }
    return "".join(f"{name}\t: {value}\n" for name, value in fields.items())


def qemu_model(cpu: Cpu) -> str:
    """The qemu CPU that has what `cpu` has: itself, or one of the same instructions."""
    if cpu.part in _QEMU:
        return _QEMU[cpu.part]
    if {"sve", "i8mm", "bf16"} & set(cpu.features):
        return "max"
    return "cortex-a76" if "atomics" in cpu.features else "cortex-a72"
