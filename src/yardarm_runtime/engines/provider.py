"""onnxruntime on the GPU: the second route, where TensorRT's Python module is not there."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Tuple

from yardarm_runtime import manifest
from yardarm_runtime.engines.onnxruntime import CPU, OnnxRuntime, settings
from yardarm_runtime.engines.opening import GPU
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt import options

TENSORRT, CUDA = GPU

NO_CPU = "session.disable_cpu_ep_fallback"
"""onnxruntime's setting that refuses a model of which a node would run on the CPU."""

PARTLY = "some operators run on the CPU: onnxruntime's GPU providers don't have them all"


class OnGpu(OnnxRuntime):
    """A session on a GPU's provider.

    Args:
        engines: where the provider keeps engines of its own; None: nowhere.
        offered: the providers that onnxruntime was built with.

    Raises:
        Problem: neither provider loads here. The CPU alone is no answer.
    """

    def __init__(
        self, bundle: str, threads: int, engines: Optional[str], offered: List[str]
    ) -> None:
        wanted = [name for name in (TENSORRT, CUDA) if name in offered]
        self._note: Optional[str] = None
        given = [(name, self._options(name, bundle, engines)) for name in wanted]
        strict = settings(threads)
        strict.add_session_config_entry(NO_CPU, "1")
        try:
            OnnxRuntime.__init__(self, bundle, threads, strict, given)
        except Problem:
            OnnxRuntime.__init__(self, bundle, threads, settings(threads), [*given, CPU])
            self._note = PARTLY
        if not set(self.providers) & {TENSORRT, CUDA}:
            raise Problem(
                "onnxruntime offers %s and loads none of them: CUDA or TensorRT's libraries are "
                "missing" % " and ".join(wanted)
            )

    def _options(self, name: str, bundle: str, engines: Optional[str]) -> Dict[str, str]:
        if name != TENSORRT:
            return {}
        return provider_options(options.of(manifest.read(bundle)), engines)

    def facts(self) -> Dict[str, Any]:
        told = {"route": "onnxruntime on %s" % self.providers[0], "providers": self.providers}
        return dict(told, notes=[self._note]) if self._note else told


def provider_options(wishes: options.Options, engines: Optional[str]) -> Dict[str, str]:
    """What the manifest asks for, as onnxruntime spells it. This provider builds no strongly
    typed networks: there types that the file has are allowed."""
    typed = wishes.strongly_typed
    told = {
        "trt_max_workspace_size": str(wishes.workspace_mb << 20),
        "trt_builder_optimization_level": str(wishes.optimization_level),
        "trt_fp16_enable": str(int(typed or "fp16" in wishes.flags)),
        "trt_int8_enable": str(int(typed or "int8" in wishes.flags)),
    }
    if wishes.profiles:
        shapes = _shapes(wishes.profiles)
        names = ("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes")
        told.update(zip(names, shapes))
    folder = _cache(engines)
    if folder is not None:
        told.update(trt_engine_cache_enable="1", trt_engine_cache_path=folder)
        told.update(trt_timing_cache_enable="1", trt_timing_cache_path=folder)
    return told


def _cache(engines: Optional[str]) -> Optional[str]:
    """None where nothing can be kept: the provider then builds its engines at every start."""
    if engines is None:
        return None
    folder = os.path.join(engines, "onnxruntime")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.R_OK | os.W_OK) else None


def _shapes(profiles: Mapping[str, options.Profile]) -> Tuple[str, ...]:
    """Such as "x:1x3x48x192,y:1x8", for the smallest, the usual and the largest."""
    return tuple(
        ",".join(
            "%s:%s" % (name, "x".join(str(axis) for axis in profile[place]))
            for name, profile in profiles.items()
        )
        for place in range(3)
    )
