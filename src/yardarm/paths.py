"""Where things live on this machine: the store beside the project, caches per user."""

from __future__ import annotations

import os
from pathlib import Path


def store(root: Path) -> Path:
    """`$YARDARM_STORE`, or `.yardarm/store` beside the project file."""
    chosen = os.environ.get("YARDARM_STORE")
    return Path(chosen) if chosen else root / ".yardarm" / "store"


def cache() -> Path:
    """What is shared by all projects of a user: bases, wheels, lab roots."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    return (Path(chosen) if chosen else Path.home() / ".cache") / "yardarm"


def config() -> Path:
    """The user's keys and settings."""
    chosen = os.environ.get("XDG_CONFIG_HOME")
    return (Path(chosen) if chosen else Path.home() / ".config") / "yardarm"


def state() -> Path:
    """What must survive but is nobody's configuration: telemetry that was fetched."""
    chosen = os.environ.get("XDG_STATE_HOME")
    return (Path(chosen) if chosen else Path.home() / ".local" / "state") / "yardarm"
