"""Which engine runs a bundle here."""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional

from yardarm_runtime import manifest, tensorrt
from yardarm_runtime.engines.engine import Engine
from yardarm_runtime.problems import Problem

ONNXRUNTIME, TENSORRT = "onnxruntime", "tensorrt"
GPU = ("TensorrtExecutionProvider", "CUDAExecutionProvider")

Progress = Callable[[str, int, int], None]


class Place(NamedTuple):
    """Where a device keeps its engines, and the file in which its agent describes it."""

    engines: Optional[str] = None
    device: Optional[str] = None


NOWHERE = Place()


def target(bundle: str) -> str:
    """What the bundle was compiled for. Raises Problem where its manifest can't be read."""
    return str(manifest.read(bundle).get("target", ONNXRUNTIME))


def open_engine(bundle: str, threads: int, place: Place, progress: Progress) -> Engine:
    """The engine that the bundle's target asks for, loaded; one of TensorRT's is built first
    where it is not there, and `progress` is told of that.

    Raises:
        Problem: the bundle, or what would run it, can't be used.
        OSError: a new engine can't be kept.
    """
    if target(bundle) != TENSORRT:
        from yardarm_runtime.engines.onnxruntime import OnnxRuntime

        return OnnxRuntime(bundle, threads)
    if tensorrt.there():
        from yardarm_runtime.engines.tensorrt import TensorRT

        return TensorRT(bundle, _folder(place), place.device, progress)
    offered = gpu_providers()
    if not offered:
        tensorrt.load()  # which says what is missing
    from yardarm_runtime.engines.provider import OnGpu

    return OnGpu(bundle, threads, place.engines, offered)


def _folder(place: Place) -> str:
    if place.engines is None:
        raise Problem("an engine is needed to run this bundle: say with --engines where it lies")
    return place.engines


def gpu_providers() -> List[str]:
    """Those of onnxruntime that run on a GPU, if there is an onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        return []
    offered = onnxruntime.get_available_providers()
    return [name for name in GPU if name in offered]


def libraries(bundle: str) -> None:
    """Import what runs the bundle, so that it is not in the time of loading. Raises Problem."""
    if target(bundle) == TENSORRT and tensorrt.there():
        import yardarm_runtime.engines.tensorrt

        tensorrt.load()
    else:
        import yardarm_runtime.engines.onnxruntime  # noqa: F401
