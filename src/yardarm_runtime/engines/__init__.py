"""One engine for all verbs, chosen by what the bundle was compiled for."""

from __future__ import annotations

from yardarm_runtime.engines.engine import Bound, Engine
from yardarm_runtime.engines.feeding import fed_at, group, in_batches, samples_of
from yardarm_runtime.engines.opening import NOWHERE, Place, libraries, open_engine

__all__ = [
    "NOWHERE",
    "Bound",
    "Engine",
    "Place",
    "fed_at",
    "group",
    "in_batches",
    "libraries",
    "open_engine",
    "samples_of",
]
