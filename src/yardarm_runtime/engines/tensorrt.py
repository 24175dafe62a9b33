"""TensorRT, with an engine that was built on this device."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np

from yardarm_runtime import device as device_file
from yardarm_runtime import manifest
from yardarm_runtime.cuda import open_cuda
from yardarm_runtime.engines.engine import Bound, Engine
from yardarm_runtime.engines.ports import declared
from yardarm_runtime.problems import Broken, Problem
from yardarm_runtime.tensorrt import load, ready
from yardarm_runtime.tensorrt.cache import Cache
from yardarm_runtime.tensorrt.runner import Runner

Progress = Callable[[str, int, int], None]


class TensorRT(Engine):
    """The engine of the bundle's key, built first where it isn't there.

    Args:
        bundle: as every engine's; its manifest has `tensorrt`.
        engines: the folder of the engines on this device.
        device: the agent's file about it; None: nothing is known.
        progress: told of a build.

    Raises:
        Problem: TensorRT or CUDA are not there, the bundle is not for them, or the engine
            can't be built or loaded.
        OSError: the engine can't be kept.
    """

    def __init__(
        self, bundle: str, engines: str, device: Optional[str], progress: Progress
    ) -> None:
        Engine.__init__(self, bundle)
        trt, self._cuda = load(), open_cuda()
        self._device = device_file.read(device)
        self._key = ready.wanted(trt, self._cuda, bundle, self._device)
        found = ready.ensure(Cache(engines), self._key, bundle, progress, False)
        self._history, self._cached = found.stored.history, found.cached
        ports = declared(manifest.read(bundle))
        self._runner = Runner(trt, self._cuda, found.stored.plan, ports)
        self.inputs, self.outputs = self._runner.inputs, self._runner.outputs

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Dict[str, np.ndarray[Any, Any]]:
        try:
            return self._runner.run(feeds)
        except Broken:
            raise
        except Problem as error:
            raise Problem("the model can't run on these inputs: %s" % error) from None

    def bound(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Bound:
        return self._runner.bound(feeds)

    def versions(self) -> Dict[str, str]:
        return dict(self._cuda.versions(), tensorrt=self._key.tensorrt)

    def facts(self) -> Dict[str, Any]:
        """`built_s` is None where the engine was handed over by another device."""
        return {
            "route": "tensorrt",
            "key": self._key.to_json(),
            "power_mode": self._key.power_mode,
            "jetson_clocks": self._device.jetson_clocks,
            "gpu": self._cuda.name(),
            "cuda": self._cuda.route,
            "built_s": self._history.get("built_s"),
            "pool_mb": self._history.get("pool_mb"),
            "notes": self._history.get("notes", []),
            "cached": self._cached,
        }

    def close(self) -> None:
        self._runner.close()
