"""The wheels layer: exactly the pinned aarch64 wheels, unpacked by uv; nothing is built or run."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import uv

from yardarm import digest, paths
from yardarm.artifacts import MEDIA_LAYER
from yardarm.digest import Digest
from yardarm.errors import Unreachable, Unsupported, VerificationFailed
from yardarm.events import Sink, silent, step
from yardarm.image import entries, layer, resolving, slimming
from yardarm.image.requirements import Request
from yardarm.lockfile import Pinned
from yardarm.store import Store, exclusive
from yardarm_wire.files import FILES

LIBRARY = "opt/yardarm/lib"


def key(wanted: Request, pinned: Sequence[Pinned], keep: Sequence[str] = ()) -> Digest:
    """Names the layer, in the store and in the user's cache, by what goes into it."""
    rules = [slimming.RULES, layer.WRITER, layer.epoch(), sorted(keep)]
    wheels = [astuple(each) for each in sorted(pinned)]
    return digest.of_json(["image/wheels", wanted.target, wheels, rules])


def make(
    wanted: Request,
    pinned: Sequence[Pinned],
    store: Store,
    sink: Sink = silent,
    keep: Sequence[str] = (),
) -> dict[str, object]:
    """The layer as a step records it: `blob`, `contents` (package to version), `weights`
    (package to bytes) and `left_out` (such as "numpy: tests", to bytes); from the user's cache,
    or made.

    Raises:
        VerificationFailed: the index has another file under a pinned name.
        Unsupported: the index has a pinned wheel no longer.
        Unreachable: a pinned wheel isn't in uv's cache, and the index can't be reached.
    """
    folder = _cached(wanted, pinned, sink, keep)
    record: dict[str, object] = json.loads((folder / "record.json").read_bytes())
    blob = store.put_file(folder / "layer.tar", MEDIA_LAYER)
    return {"blob": blob.to_oci(), **record}


def fetch(
    wanted: Request, pinned: Sequence[Pinned], sink: Sink = silent, keep: Sequence[str] = ()
) -> None:
    """Have the layer in the user's cache, so that images can be made without a network.
    Raises as `make` does."""
    _cached(wanted, pinned, sink, keep)


def _cached(wanted: Request, pinned: Sequence[Pinned], sink: Sink, keep: Sequence[str]) -> Path:
    folder = paths.cache() / "wheels" / digest.short(key(wanted, pinned, keep))
    with (
        step(sink, "image/fetch", "fetch aarch64 wheels") as progress,
        exclusive(folder.with_suffix(".lock"), "installing wheels", wait=600.0),
    ):
        progress.cached = (folder / "record.json").is_file()
        if not progress.cached:
            _fill(folder, wanted, pinned, keep)
        progress.detail = f"{sum(each.size for each in pinned) / 1e6:.1f} MB"
    return folder


def _fill(folder: Path, wanted: Request, pinned: Sequence[Pinned], keep: Sequence[str]) -> None:
    """Install into a folder beside the cache's, pack it, and rename what is whole."""
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as text:
        work = Path(text)
        (work / "done").mkdir()
        _install(wanted, pinned, work)
        found = slimming.choose(work / "lib", LIBRARY, keep)
        with (work / "done/layer.tar").open("wb") as stream:
            layer.write((entries.moved(each, LIBRARY) for each in found.files), stream)
        names = ("contents", "weights", "left_out")
        record = digest.canonical_json({name: getattr(found, name) for name in names})
        (work / "done/record.json").write_bytes(record)
        shutil.rmtree(folder, ignore_errors=True)
        FILES.rename_tree(str(work / "done"), str(folder))


def command(wanted: Request) -> list[str]:
    """uv's arguments to unpack what `requirements.txt` pins into `lib`."""
    return [
        *(uv.find_uv_bin(), "pip", "install", "--target", "lib", *resolving.target(wanted)),
        *("--no-deps", "--require-hashes", "--no-compile-bytecode", "--quiet"),
        *("--requirements", "requirements.txt"),
    ]


def _install(wanted: Request, pinned: Sequence[Pinned], work: Path) -> None:
    """From uv's cache where that has everything: hashes make it the same wheels."""
    lines = (f"{each.name}=={each.version} --hash=sha256:{each.sha256}\n" for each in pinned)
    (work / "requirements.txt").write_text("".join(lines), encoding="utf-8")
    try:
        resolving.run([*command(wanted), "--offline"], work, wanted)
    except (Unreachable, Unsupported, VerificationFailed):  # another file of that name is there
        shutil.rmtree(work / "lib", ignore_errors=True)
        resolving.run(command(wanted), work, wanted)
