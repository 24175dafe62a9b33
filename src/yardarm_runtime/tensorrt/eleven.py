"""TensorRT 11, where every network is strongly typed, and TensorRT-RTX."""

from __future__ import annotations

from typing import Any, Optional

from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt.ten import Ten


class Eleven(Ten):
    def network(self, builder: Any) -> Any:
        return builder.create_network()


class Rtx(Eleven):
    """TensorRT for desktop GPUs. It builds ahead of time, so its parser and its builder also
    run where there is no GPU at all."""

    keeps_timings = False

    def target(self, config: Any, sm: Optional[int]) -> None:
        trt = self._trt
        if sm is None:
            return
        capability = trt.ComputeCapability.__members__.get("SM%d" % sm)
        if capability is None:
            raise Problem("TensorRT-RTX doesn't build for SM %d" % sm)
        config.num_compute_capabilities = 1
        config.set_compute_capability(capability, 0)
