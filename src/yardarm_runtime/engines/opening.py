"""Which engine runs a bundle here."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

from yardarm_runtime.engines.engine import Engine

Progress = Callable[[str, int, int], None]


class Place(NamedTuple):
    """Where a device keeps its engines, and the file in which its agent describes it."""

    engines: Optional[str] = None
    device: Optional[str] = None


NOWHERE = Place()


def open_engine(bundle: str, threads: int, place: Place, progress: Progress) -> Engine:
    """The engine that the bundle's target asks for, loaded.

    Raises:
        Problem: the bundle, or what would run it, can't be used.
    """
    from yardarm_runtime.engines.onnxruntime import OnnxRuntime

    return OnnxRuntime(bundle, threads)


def libraries(bundle: str) -> None:
    """Import what runs the bundle, so that it is not in the time of loading."""
    import yardarm_runtime.engines.onnxruntime  # noqa: F401
