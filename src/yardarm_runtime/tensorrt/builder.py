"""An ONNX model becomes a serialized engine."""

from __future__ import annotations

import time
from typing import Any, List, NamedTuple, Optional

from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt.generation import Generation, Progress, generation_of, title
from yardarm_runtime.tensorrt.journal import Journal, logger_for
from yardarm_runtime.tensorrt.options import Options

MIB = 1 << 20

OUT_OF_MEMORY = (
    "the build ran out of memory with a pool of %d MiB (TensorRT: %s). Close what else runs, add "
    "swap, or lower workspace_mb or the profile's largest batch"
)

TOO_SMALL = ". The memory pool of %d MiB may be too small: raise workspace_mb"


class Built(NamedTuple):
    """A serialized engine as a buffer, what the build measured as the bytes of a timing cache
    (b"" where there is none), what the user should know, and the seconds that it took."""

    plan: Any
    timing: bytes
    notes: List[str]
    seconds: float


def build(
    trt: Any,
    model: bytes,
    options: Options,
    *,
    progress: Progress = lambda _phase, _done, _total: None,
    workspace: Optional[int] = None,
    timing: bytes = b"",
    sm: Optional[int] = None,
    path: Optional[str] = None,
) -> Built:
    """Parse and build.

    Args:
        trt: TensorRT's module.
        model: the ONNX file.
        options: what the manifest asks for; `Options()` for a static model without wishes.
        progress: told (phase, done, total); a total of 0 is unknown.
        workspace: bytes of the memory pool; None: as the options say.
        timing: what an earlier build measured.
        sm: compute capability to build for, such as 86, where it is not that of the GPU here;
            only TensorRT-RTX does that.
        path: where the model lies, for weights in files beside it.

    Raises:
        Problem: the model can't be parsed (every node that the parser told), built, or the
            memory does not suffice; the options are for another generation.
    """
    begun = time.monotonic()
    check(trt, options)
    generation = generation_of(trt)
    journal = Journal(_nothing if generation.tells_phases else lambda line: _line(progress, line))
    logger = logger_for(trt, journal)
    trt.init_libnvinfer_plugins(logger, "")  # which the parser uses for some ONNX operators
    builder = trt.Builder(logger)
    if builder is None:
        raise Problem("TensorRT makes no builder: %s" % journal.text())
    network = generation.network(builder)
    progress("parsing", 0, 1)
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(model, path) if path else parser.parse(model)
    _check_errors(trt, generation, parser, model, bool(parsed))
    progress("parsing", 1, 1)
    config = builder.create_builder_config()
    notes = generation.configure(config, network, options)
    generation.target(config, sm)
    pool = options.workspace_mb * MIB if workspace is None else workspace
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, pool)
    _add_profile(builder, config, network, options)
    if generation.keeps_timings:
        notes += _reuse(config, timing)
    held = generation.watch(config, progress)
    serialized = _serialized(builder, network, config, journal, pool)
    del held
    measured = _measured(config) if generation.keeps_timings else b""
    return Built(memoryview(serialized), measured, notes, time.monotonic() - begun)


def check(trt: Any, options: Options) -> None:
    """Raises Problem where the options are for another generation of TensorRT."""
    generation = generation_of(trt)
    if options.strongly_typed != generation.strongly_typed:
        raise Problem(
            "the bundle was compiled for TensorRT %s, this is %s: compile it again for the "
            "device's profile" % (options.version or "of another generation", title(trt))
        )


def _check_errors(
    trt: Any, generation: Generation, parser: Any, model: bytes, parsed: bool
) -> None:
    """Raises Problem with all that the parser told."""
    count = parser.num_errors
    if parsed and not count:
        return
    errors: List[str] = []
    for index in range(count):
        problem_ = parser.get_error(index)
        text = generation.parse_error(problem_, model)
        if text not in errors:
            errors.append(text)
    raise Problem(
        "%s can't parse the model: %s" % (title(trt), "; ".join(errors) or "it doesn't say why")
    )


def _add_profile(builder: Any, config: Any, network: Any, options: Options) -> None:
    """Raises Problem for an input of any length without a profile, or with one that isn't its."""
    shapes = {}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shapes[tensor.name] = tuple(tensor.shape)
    dynamic = {name: shape for name, shape in shapes.items() if -1 in shape}
    lacking = sorted(set(dynamic) - set(options.profiles))
    if lacking:
        raise Problem("inputs %s have axes of any length, and no profile" % lacking)
    strangers = sorted(set(options.profiles) - set(shapes))
    if strangers:
        raise Problem("there are profiles for %s, which are no inputs" % strangers)
    if not dynamic:
        return
    profile = builder.create_optimization_profile()
    for name, shape in dynamic.items():
        least, best, most = options.profiles[name]
        try:
            profile.set_shape(name, least, best, most)
        except (ValueError, RuntimeError) as error:
            raise Problem(
                "the profile of %r doesn't fit %s: %s" % (name, list(shape), error)
            ) from None
    if config.add_optimization_profile(profile) < 0:
        raise Problem("TensorRT refuses the profiles of %s" % sorted(dynamic))


def _reuse(config: Any, timing: bytes) -> List[str]:
    """Measurements of earlier builds save most of a build's time."""
    timing_cache = config.create_timing_cache(timing)
    if timing_cache is not None and config.set_timing_cache(timing_cache, False):
        return []
    if not timing:
        return []
    timing_cache = config.create_timing_cache(b"")
    if timing_cache is not None:
        config.set_timing_cache(timing_cache, False)
    return ["the timing cache is not this device's: it is begun anew"]


def _measured(config: Any) -> bytes:
    timing_cache = config.get_timing_cache()
    if timing_cache is None:
        return b""
    serialized = timing_cache.serialize()
    return b"" if serialized is None else bytes(memoryview(serialized))


def _serialized(builder: Any, network: Any, config: Any, journal: Journal, pool: int) -> Any:
    try:
        serialized = builder.build_serialized_network(network, config)
    except (RuntimeError, MemoryError) as error:
        journal.add("ERROR", str(error) or type(error).__name__)
        serialized = None
    if serialized is not None:
        return serialized
    if journal.out_of_memory:
        raise Problem(OUT_OF_MEMORY % (pool // MIB, journal.text()))
    hint = TOO_SMALL % (pool // MIB) if "workspace" in journal.text() else ""
    raise Problem("TensorRT can't build the engine: %s%s" % (journal.text(), hint))


def _line(progress: Progress, line: str) -> None:
    progress("building: %s" % line, 0, 0)


def _nothing(_line: str) -> None:
    pass
