"""Which process listens on a port, from /proc (proc(5))."""

from __future__ import annotations

import os
from typing import Set

LISTEN = "0A"


def listens(pid: int, port: int) -> bool:
    """Whether the process has a TCP socket that listens on the port."""
    wanted = {"socket:[%s]" % inode for inode in _inodes(port)}
    folder = "/proc/%d/fd" % pid
    try:
        return any(_target(os.path.join(folder, name)) in wanted for name in os.listdir(folder))
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has ended


def taken(port: int) -> bool:
    """Whether anybody in this network namespace listens on the port."""
    return bool(_inodes(port))


def _inodes(port: int) -> Set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table) as stream:
            for line in list(stream)[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    found.add(fields[9])
    return found


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except (FileNotFoundError, ProcessLookupError):
        return ""
