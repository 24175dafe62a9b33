"""How much memory a build may take: one that takes too much is killed by the kernel."""

from __future__ import annotations

import os
from typing import Dict, List, NamedTuple, Optional, Tuple

from yardarm_runtime.problems import Problem

MIB = 1 << 20

HEADROOM = 512 * MIB
"""For CUDA's context, TensorRT's own libraries and what the system does meanwhile. An
assumption: not measured on a device."""

WEIGHTS = 3
"""Copies of the weights during a build: the parsed ones, those that are tried, the engine's. An
assumption too."""

LEAST = 16 * MIB
"""With a smaller pool hardly any convolution finds an implementation."""


class User(NamedTuple):
    """A process, and the bytes that it holds."""

    name: str
    process: int
    resident: int


def pool(asked: int, free: int, model: int, users: List[User]) -> Tuple[int, Optional[str]]:
    """The memory pool's bytes that fit, and what is to be said where they are fewer than asked.

    Args:
        asked: bytes that the bundle asks for.
        free: bytes that are free.
        model: bytes of the model's file.
        users: who else holds memory, the largest first.

    Raises:
        Problem: a build does not fit at all.
    """
    left = free - HEADROOM - WEIGHTS * model
    if left >= asked:
        return asked, None
    holds = _holders(users)
    if left < LEAST:
        raise Problem(
            "a build needs about %d MiB of free memory, there are %d%s. Close what can be closed, "
            "or add swap" % ((HEADROOM + WEIGHTS * model + LEAST) // MIB, free // MIB, holds)
        )
    return left, "the memory pool is %d MiB instead of %d: %d MiB are free%s" % (
        left // MIB,
        asked // MIB,
        free // MIB,
        holds,
    )


def _holders(users: List[User]) -> str:
    told = ["%s (%d) %d MiB" % (user.name, user.process, user.resident // MIB) for user in users]
    return ", most is held by %s" % ", ".join(told) if told else ""


def available(proc: str = "/proc", control: str = "/sys/fs/cgroup") -> Optional[int]:
    """Bytes that a program may still take without swapping, in the whole machine and in the
    container's control group; None where neither is told."""
    lines = _fields(os.path.join(proc, "meminfo"))
    words = lines.get("MemAvailable", "").split()
    machine = int(words[0]) * 1024 if words and words[0].isdigit() else None
    limit, used = (_number(os.path.join(control, "memory." + name)) for name in ("max", "current"))
    group = max(0, limit - used) if limit is not None and used is not None else None
    return min((value for value in (machine, group) if value is not None), default=None)


def _number(path: str) -> Optional[int]:
    """None for "max", which is no limit."""
    try:
        with open(path, encoding="ascii") as stream:
            return int(stream.read(64))
    except (OSError, ValueError):
        return None


def users(proc: str = "/proc", most: int = 3) -> List[User]:
    """The processes that hold most, without this one; only those of this container are seen."""
    found = []
    for entry in os.listdir(proc) if os.path.isdir(proc) else []:
        if entry.isdigit() and int(entry) != os.getpid():
            fields = _fields(os.path.join(proc, entry, "status"))
            words = fields.get("VmRSS", "").split()
            if words and words[0].isdigit():
                found.append(User(fields.get("Name", ""), int(entry), int(words[0]) * 1024))
    return sorted(found, key=lambda user: -user.resident)[:most]


def _fields(path: str) -> Dict[str, str]:
    """Lines such as "VmRSS:  12 kB" by their first word; {} for what is gone meanwhile."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            pairs = (line.partition(":") for line in stream)
            return {name: value.strip() for name, _colon, value in pairs}
    except OSError:
        return {}
