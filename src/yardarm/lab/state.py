"""What is known of a lab device: one JSON file, written before anything else of it exists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from yardarm.errors import UsageError
from yardarm.lab.names import Lab

_FILE = "state.json"


@dataclass(frozen=True)
class State:
    """A device as it was asked for.

    Attributes:
        number: its place on the bridge, from 2 to 254.
        base: the shared system that its own files lie over.
        phase: "starting" until it was reached once.
    """

    name: str
    profile: str
    number: int
    ip: str
    base: str
    phase: Literal["starting", "up"]


def write(lab: Lab, state: State) -> None:
    folder = lab.device(state.name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = folder / f".{_FILE}"
    fresh.write_text(json.dumps(asdict(state)), encoding="utf-8")
    fresh.replace(folder / _FILE)


def read(folder: Path) -> State | None:
    """None: there is no such device, or it was lost before its first word was written."""
    try:
        return State(**json.loads((folder / _FILE).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    except PermissionError:
        raise UsageError(
            "lab devices belong to root", where=str(folder), hint="run it as root"
        ) from None


def every(lab: Lab) -> Iterator[tuple[str, State | None]]:
    """Each device's name and state, by name."""
    folder = lab.folder / "devices"
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield entry.name, read(entry)


def free_number(lab: Lab) -> int:
    """Raises UsageError when the bridge is full."""
    taken = {state.number for _, state in every(lab) if state}
    for number in range(2, 255):
        if number not in taken:
            return number
    raise UsageError("the lab is full: 253 devices", hint="`yardarm lab down NAME` makes room")
