"""The torch library: imported when a model needs it, and kept quiet."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from yardarm.errors import Unsupported

WHERE = "model.source"


def torch() -> Any:
    """The library, on one thread.

    Raises:
        Unsupported: it is not installed.
    """
    try:
        with quietly():
            import onnxscript  # noqa: F401
            import torch as library
    except ImportError as error:
        raise Unsupported(
            f"torch models need packages that are not installed: {error.name} is missing",
            where=WHERE,
            hint="install yardarm[torch], or export to ONNX and name that file",
        ) from None
    if "OMP_NUM_THREADS" not in os.environ:
        library.set_num_threads(1)
    return library


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """torch warns and logs at people who call it themselves. What a project's own code
    prints goes to stderr, so that stdout stays the caller's."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Quieter still, for the exporters: one of them prints past Python, to stdout."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        with quietly(), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)
