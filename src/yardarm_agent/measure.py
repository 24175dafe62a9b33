"""A benchmark plan run by the current release's runtime, its files kept for fetching."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from typing import Any, Dict, Generator

from yardarm_agent import blobs, child, engine
from yardarm_agent.layout import Layout, plain
from yardarm_wire.files import FILES
from yardarm_wire.problems import Invalid

NAME = "bench"


def run(layout: Layout, plan: Dict[str, Any], data: str) -> Generator[Dict[str, Any], None, None]:
    """Yield {"progress": the runtime's}, and at last {"release", "files": {name: size}}.

    Args:
        data: digest of the npz with the inputs, which must be in the store.

    Raises:
        Invalid: nothing is deployed. NotVerified: the data are damaged, or the run failed.

    The run is ended when the caller stops listening (closes the generator).
    """
    digest = layout.active(layout.current)
    if digest is None:
        raise Invalid("no release runs here", "", "run `yardarm deploy` first")
    blobs.verify(layout, data)
    folder = _fresh(layout)
    FILES.write(os.path.join(folder, "plan.json"), json.dumps(plan).encode())
    # A copy: the release may write to its work folder, and never to the store.
    shutil.copyfile(layout.blob(data), os.path.join(folder, "inputs.npz"))
    argv = engine.for_release(
        layout,
        digest,
        [
            engine.Bind("rw", folder, "work"),
            engine.Bind("rw", os.path.join(layout.run, "service"), "run/yardarm"),
        ],
        "bench",
        "--bundle",
        "/bundle",
        "--plan",
        "/work/plan.json",
        "--data",
        "/work/inputs.npz",
        "--output",
        "/work/output",
        "--counters",
        "/run/yardarm/bench.json",
    )
    try:
        with closing(child.follow(argv, os.path.join(layout.run, "bench.log"))) as told:
            for body in told:
                yield {"progress": body}
    finally:
        _forget_counters(layout)
    yield {"release": digest, "files": _outputs(layout)}


def read(layout: Layout, name: str, offset: int, size: int) -> bytes:
    """A piece of an output file of the last run; b"" beyond its end."""
    length = _outputs(layout).get(plain(name))
    if length is None:
        raise Invalid("there is no such file", name)
    if offset < 0 or size < 0:
        raise Invalid("offset and size are not negative", name)
    with open(os.path.join(_output(layout), name), "rb") as stream:
        stream.seek(min(offset, length))
        return stream.read(size)


def _output(layout: Layout) -> str:
    return os.path.join(layout.work, NAME, "output")


def _outputs(layout: Layout) -> Dict[str, int]:
    """Size of each output file. Only plain files count: where a link leads inside of the
    release is elsewhere out here."""
    try:
        with os.scandir(_output(layout)) as found:
            plain_files = [entry for entry in found if entry.is_file(follow_symlinks=False)]
            return {entry.name: entry.stat().st_size for entry in plain_files}
    except FileNotFoundError:
        return {}


def discard(layout: Layout) -> None:
    """Remove the last run's files; the inputs' blob stays for the next run."""
    shutil.rmtree(os.path.join(layout.work, NAME), ignore_errors=True)


def _forget_counters(layout: Layout) -> None:
    """What is over must not be sampled on and on."""
    try:
        os.unlink(os.path.join(layout.run, "service", "bench.json"))
    except FileNotFoundError:
        pass


def _fresh(layout: Layout) -> str:
    discard(layout)
    folder = os.path.join(layout.work, NAME)
    os.makedirs(folder)
    return folder
