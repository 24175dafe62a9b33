"""What can be told to go wrong in the fake TensorRT: FAKE_TENSORRT_FAULT names one."""

from __future__ import annotations

import os
import signal

FAULTS = (
    "out of memory while building",  # logged, and build_serialized_network returns None
    "killed while building",  # as by the kernel, short of memory
    "crash while deserialising",  # the process dies by SIGSEGV
    "crash while executing",
    "no execution context",  # create_execution_context returns None: out of memory
    "execution fails",  # logged, and execute_async_v2/v3 return False
    "wrong answers",  # every floating-point output is off by one
)


def injected(name: str) -> bool:
    assert name in FAULTS, name
    chosen = os.environ.get("FAKE_TENSORRT_FAULT", "")
    assert chosen in ("", *FAULTS), chosen
    return chosen == name


def die(number: int = signal.SIGSEGV) -> None:
    """As native code does: no exception, no clean-up."""
    os.kill(os.getpid(), number)


def sm() -> int:
    """Of the fake device."""
    return int(os.environ.get("FAKE_SM") or 87)
