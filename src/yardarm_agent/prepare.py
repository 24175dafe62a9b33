"""From verified blobs to a release that could run: image unpacked, bundles laid out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import Any, Callable, Dict

from yardarm_agent import blobs, engine, trust
from yardarm_agent.layout import Layout
from yardarm_agent.trust import Signed
from yardarm_agent.unpack import unpack
from yardarm_wire.files import FILES
from yardarm_wire.problems import NotVerified

GOLDEN_TIMEOUT = 300.0

Progress = Callable[[str, int, int], None]
"""Told a phase, and how many of how many bytes are done."""


def prepare(layout: Layout, signed: Signed, downgrade: bool, tell: Progress) -> Dict[str, Any]:
    """Check a release, lay it out, and have it answer its golden inputs.

    Returns:
        {"digest": the release's, "golden": the runtime's answer, "unpacked": whether the
        image was new here}.

    Raises:
        NotVerified: signature, digest or golden answer wrong. Refusal: see `trust.accept`.
    """
    release = trust.accept(layout, signed, downgrade)
    digest = "sha256:" + hashlib.sha256(signed.payload).hexdigest()
    image = release["image"]
    new = not os.path.isdir(layout.image(image["config"]))
    if new:
        _unpack(layout, image, tell)
    _lay_out(layout, layout.release(digest), signed, release)
    tell("golden inputs", 0, 1)
    golden = _golden(layout, digest, release["run"]["threads"])
    return {"digest": digest, "golden": golden, "unpacked": new}


def discard_partial(layout: Layout) -> None:
    """Remove what earlier, interrupted preparations left."""
    for folder in (layout.images, layout.releases):
        for name in os.listdir(folder):
            if name.startswith(".partial-"):
                shutil.rmtree(os.path.join(folder, name))
    for name in os.listdir(layout.work):
        shutil.rmtree(os.path.join(layout.work, name))


def _unpack(layout: Layout, image: Dict[str, Any], tell: Progress) -> None:
    total = sum(layer["size"] for layer in image["layers"])
    blobs.require(layout, total)
    blobs.verify(layout, image["config"])
    for layer in image["layers"]:
        blobs.verify(layout, layer["digest"])
    target = layout.image(image["config"])
    partial = os.path.join(layout.images, ".partial-" + os.path.basename(target))
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        tell("unpack", done, total)

    unpack([layout.blob(layer["digest"]) for layer in image["layers"]], partial, advance)
    for point in engine.MOUNTPOINTS:
        os.makedirs(os.path.join(partial, point), 0o755, exist_ok=True)
    os.sync()  # thousands of files: one sync of everything beats an fsync of each
    FILES.rename(partial, target)


def _lay_out(layout: Layout, target: str, signed: Signed, release: Dict[str, Any]) -> None:
    if os.path.isdir(target):
        return
    partial = os.path.join(layout.releases, ".partial-" + os.path.basename(target))
    for name, bundle in release["bundles"].items():
        folder = os.path.join(partial, "bundles", name)
        os.makedirs(folder, 0o755)
        for file, blob in bundle["files"].items():
            blobs.verify(layout, blob["digest"])
            os.link(layout.blob(blob["digest"]), os.path.join(folder, os.path.basename(file)))
        FILES.sync_folder(folder)
    FILES.write(os.path.join(partial, "release.json"), signed.payload)
    FILES.write(os.path.join(partial, "release.sig"), signed.signature)
    FILES.rename(partial, target)


def _golden(layout: Layout, digest: str, threads: int) -> Dict[str, Any]:
    argv = engine.for_release(
        layout, digest, [], "golden", "--bundle", "/bundle", "--threads", str(threads)
    )
    answer = engine.answer(argv, GOLDEN_TIMEOUT)
    if not answer.get("ok"):
        raise NotVerified("the release answers its golden inputs wrongly", "", json.dumps(answer))
    return answer
