"""Plans run by the current release's runtime, their files kept for fetching."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import closing
from typing import Any, Dict, Generator, List, NamedTuple

from yardarm_agent import blobs, building, child, engine, machine
from yardarm_agent.layout import Layout, plain
from yardarm_wire.files import FILES
from yardarm_wire.problems import Invalid

NAME = "bench"
SELFTEST_TIMEOUT = 1200.0
"""Seconds; a selftest builds several small engines."""


def run(layout: Layout, plan: Dict[str, Any], data: str) -> Generator[Dict[str, Any], None, None]:
    """Yield {"progress": the runtime's}, and at last {"release", "files": {name: size}}.

    Args:
        data: digest of the npz with the inputs, which must be in the store.

    Raises:
        Invalid: nothing is deployed. NotVerified: the data are damaged, or the run failed.
        Refusal: the release's engine is not here.

    The run is ended when the caller stops listening (closes the generator).
    """
    digest = _current(layout)
    building.require(layout, digest)
    folder = _fresh(layout, plan, data)
    binds = [
        engine.Bind("rw", folder, "work"),
        engine.Bind("rw", os.path.join(layout.run, "service"), "run/yardarm"),
    ]
    counters = ("--counters", "/run/yardarm/bench.json")
    argv = engine.for_release(layout, digest, binds, *_words("bench", "/bundle"), *counters)
    try:
        for body in _followed(layout, argv):
            yield body
    finally:
        _forget_counters(layout)
    yield {"release": digest, "files": _outputs(layout)}


class Model(NamedTuple):
    """A model that is no release's: its blob's digest, and the manifest that says how it is
    fed."""

    digest: str
    manifest: Dict[str, Any]


def probe(
    layout: Layout, plan: Dict[str, Any], data: str, model: Model
) -> Generator[Dict[str, Any], None, None]:
    """The same for a model of the store, which the current release's runtime runs. The blob
    is removed afterwards unless a release has it too."""
    digest = _current(layout)
    blobs.verify(layout, model.digest)
    folder = _fresh(layout, plan, data)
    blob = layout.blob(model.digest)
    shutil.copyfile(blob, os.path.join(folder, "model.onnx"))
    FILES.write(os.path.join(folder, "manifest.json"), json.dumps(model.manifest).encode())
    argv = _own(layout, digest, folder, *_words("probe", "/work"), own_engine=_runs_by_one(model))
    try:
        for body in _followed(layout, argv):
            yield body
    finally:
        if os.stat(blob).st_nlink == 1:  # releases hold their blobs by links
            os.unlink(blob)
    yield {"release": digest, "files": _outputs(layout)}


def _runs_by_one(model: Model) -> bool:
    return model.manifest.get("target") == engine.TENSORRT


def selftest(layout: Layout) -> Generator[Dict[str, Any], None, None]:
    """What the current release's runtime can do here, beside what serves: yield {"progress"}
    in seconds, and at last {"release", "report"}. Its engines are thrown away.

    Raises:
        Invalid: nothing is deployed. NotVerified: the runtime ended without a report.
    """
    digest = _current(layout)
    discard(layout)
    folder = os.path.join(layout.work, NAME)
    os.makedirs(folder)
    argv = _own(layout, digest, folder, "selftest", "--json", own_engine=True)
    log, begun = os.path.join(layout.run, "bench.log"), time.monotonic()
    with closing(child.report(argv, log, SELFTEST_TIMEOUT)) as told:
        for body in told:
            seconds = int(time.monotonic() - begun)
            total = int(SELFTEST_TIMEOUT)
            if body is None:
                yield {"progress": {"phase": "seconds", "done": seconds, "total": total}}
            else:
                yield {"release": digest, "report": body}


def _own(layout: Layout, digest: str, folder: str, *words: str, own_engine: bool) -> List[str]:
    """The argv that runs a release's runtime on a work folder, engines of its own in it."""
    binds = [engine.Bind("rw", folder, "work")]
    if own_engine:
        os.makedirs(os.path.join(folder, "engines"))
        words += ("--engines", "/work/engines", "--device", "/work/" + machine.write(folder))
    return engine.for_release(layout, digest, binds, *words, engines="")


def _current(layout: Layout) -> str:
    digest = layout.active(layout.current)
    if digest is None:
        raise Invalid("no release runs here", "", "run `yardarm deploy` first")
    return digest


def _words(verb: str, bundle: str) -> List[str]:
    plan = ["--plan", "/work/plan.json", "--data", "/work/inputs.npz", "--output", "/work/output"]
    return [verb, "--bundle", bundle, *plan]


def _followed(layout: Layout, argv: List[str]) -> Generator[Dict[str, Any], None, None]:
    with closing(child.follow(argv, os.path.join(layout.run, "bench.log"))) as told:
        for body in told:
            yield {"progress": body}


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


def _fresh(layout: Layout, plan: Dict[str, Any], data: str) -> str:
    """An empty work folder with plan and inputs. They are copies: the release may write to
    its work folder, and never to the store."""
    blobs.verify(layout, data)
    discard(layout)
    folder = os.path.join(layout.work, NAME)
    os.makedirs(folder)
    FILES.write(os.path.join(folder, "plan.json"), json.dumps(plan).encode())
    shutil.copyfile(layout.blob(data), os.path.join(folder, "inputs.npz"))
    return folder
