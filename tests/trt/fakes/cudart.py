"""The fake libcudart: compiled, loaded, and asked what it holds."""

from __future__ import annotations

import ctypes
import functools
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from trt.bindings import compiled

HERE = Path(__file__).parent
NAMES = ("libcudart.so", "libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13")
KINDS = ("device", "host", "streams", "events", "pageable")
LAUNCH_FAILED = 719  # cudaErrorLaunchFailure

_RUN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class Library:
    """One fake libcudart in this process, at `path`."""

    current: Library | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.functions = ctypes.CDLL(str(path))
        self.functions.fake_holds.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self.functions.fake_enqueue.argtypes = [ctypes.c_void_p, _RUN, ctypes.c_void_p]
        self._waiting: list[tuple[object, list[bool]]] = []
        Library.current = self

    def left(self) -> dict[str, int]:
        """What is allocated now, and how many copies were of pageable memory."""
        counts = (ctypes.c_int * len(KINDS))()
        self.functions.fake_left(counts)
        return dict(zip(KINDS, counts, strict=True))

    def holds(self, pointer: int, size: int) -> bool:
        """Whether all of this is device memory that is allocated."""
        return bool(self.functions.fake_holds(pointer, size))

    def enqueue(self, stream: int, work: Callable[[], None]) -> bool:
        """`work` once the stream gets there; False: there is no such stream."""

        done: list[bool] = []

        def run(_: object) -> int:
            done.append(True)
            try:
                work()
            except Exception:  # noqa: BLE001 - it can't pass through C
                traceback.print_exc()
                return LAUNCH_FAILED
            return 0

        kept = _RUN(run)  # C holds no reference to it
        self._waiting = [item for item in self._waiting if not item[1]]
        self._waiting.append((kept, done))
        return not self.functions.fake_enqueue(stream, kept, None)

    def finish(self) -> bool:
        return not self.functions.cudaDeviceSynchronize()


def library(folder: Path) -> Library:
    """Compiled into `folder`, under all names that programs look for, and loaded here."""
    return Library(compile_into(folder))


def compile_into(folder: Path) -> Path:
    """The path of `libcudart.so`; the other names are links to it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAMES[0]
    path.unlink(missing_ok=True)  # a file of its own: who has it loaded keeps the old one
    path.write_bytes(_binary())
    for name in NAMES[1:]:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(path.name)
    return path


@functools.cache
def _binary() -> bytes:
    with tempfile.TemporaryDirectory() as work:
        return compiled(HERE / "cudart.c", Path(work) / NAMES[0]).read_bytes()


def loaded() -> Library:
    """The one that this process uses: of `library`, or of FAKE_CUDART."""
    if Library.current is None:
        assert "FAKE_CUDART" in os.environ, "no fake libcudart: call fakes.library or fakes.site"
        Library(Path(os.environ["FAKE_CUDART"]))
    assert Library.current is not None
    return Library.current
