"""A benchmark plan run by the current release's runtime, its files kept for fetching."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any, Dict, Iterator

from yardarm_agent import blobs, engine
from yardarm_agent.layout import Layout
from yardarm_wire.files import FILES
from yardarm_wire.problems import Invalid

NAME = "bench"


def run(layout: Layout, plan: Dict[str, Any], data: str) -> Iterator[Dict[str, Any]]:
    """Yield the runtime's progress, and at last {"release", "files": {name: size}}.

    Args:
        data: digest of the npz with the inputs, which must be in the store.

    Raises:
        Invalid: nothing is deployed. NotVerified: the data are damaged, or the run failed.
    """
    digest = layout.active(layout.current)
    if digest is None:
        raise Invalid("no release runs here", "", "run `yardarm deploy` first")
    blobs.verify(layout, data)
    folder = _fresh(layout)
    FILES.write(os.path.join(folder, "plan.json"), json.dumps(plan).encode())
    os.link(layout.blob(data), os.path.join(folder, "inputs.npz"))
    argv = engine.for_release(
        layout,
        digest,
        [engine.Bind("rw", folder, "work")],
        "bench",
        "--bundle",
        "/bundle",
        "--plan",
        "/work/plan.json",
        "--data",
        "/work/inputs.npz",
        "--output",
        "/work/output",
    )
    yield from engine.follow(argv, os.path.join(layout.run, "bench.log"))
    output = os.path.join(folder, "output")
    files = {name: os.stat(os.path.join(output, name)).st_size for name in os.listdir(output)}
    yield {"release": digest, "files": files}


def read(layout: Layout, name: str, offset: int, size: int) -> bytes:
    """A piece of an output file of the last run."""
    if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", ".."):
        raise Invalid("not a file name: %.80r" % (name,))
    try:
        with open(os.path.join(layout.work, NAME, "output", name), "rb") as stream:
            stream.seek(offset)
            return stream.read(size)
    except FileNotFoundError:
        raise Invalid("there is no such file", name) from None


def discard(layout: Layout) -> None:
    """Remove the last run's files; the inputs' blob stays for the next run."""
    shutil.rmtree(os.path.join(layout.work, NAME), ignore_errors=True)


def _fresh(layout: Layout) -> str:
    discard(layout)
    folder = os.path.join(layout.work, NAME)
    os.makedirs(folder)
    return folder
