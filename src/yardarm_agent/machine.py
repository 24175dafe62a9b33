"""What the runtime is told of the device: an engine is bound to its module and power mode,
which a release can't ask for from inside of its root."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any, Callable, Dict, Sequence

from yardarm_wire import jetson
from yardarm_wire.files import FILES

NAME = "device.json"
PATIENCE = 10.0
"""Seconds that a tool of the device may take."""

STATUS = "var/lib/nvpmodel/status"
"""Where the mode is kept, should nvpmodel not tell it."""

Ask = Callable[[Sequence[str]], str]
"""What a command prints; "" where it isn't there or fails."""


def ask(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def facts(root: str = "/", asked: Ask = ask) -> Dict[str, Any]:
    """{"module", "power_mode", "l4t"}: texts, "" where unknown; "jetson_clocks": bool or
    None; "memory_mb" in 10^6 bytes, 0 where unknown.

    Args:
        root: where proc/, etc/ and var/ lie.
    """
    told = identity(root, asked)
    told["jetson_clocks"] = jetson.clocks_pinned(asked(jetson.CLOCKS))
    told["memory_mb"] = _memory_mb(_text(root, "proc/meminfo"))
    return told


def identity(root: str = "/", asked: Ask = ask) -> Dict[str, Any]:
    """Those of the facts that engines are bound to: `module`, `power_mode`, `l4t`."""
    return {
        "module": _text(root, "proc/device-tree/model").replace("\0", "").strip(),
        "power_mode": _power_mode(root, asked),
        "l4t": jetson.l4t(_text(root, jetson.RELEASE_FILE[1:])),
    }


def write(folder: str) -> str:
    """The facts of now as a file in `folder`; its name."""
    FILES.write(os.path.join(folder, NAME), json.dumps(facts()).encode())
    return NAME


def _power_mode(root: str, asked: Ask) -> str:
    found = jetson.power_mode(asked(jetson.QUERY))
    if found is None and os.path.exists(os.path.join(root, STATUS)):
        modes = jetson.power_modes(_text(root, jetson.MODES_FILE[1:]))
        found = jetson.power_mode(_text(root, STATUS), modes)
    return found.name if found else ""


def _memory_mb(text: str) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return round(int(found.group(1)) * 1024 / 1e6) if found else 0


def _text(root: str, path: str) -> str:
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 16)
    except OSError:
        return ""
