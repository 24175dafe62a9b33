"""From verified blobs to a release that could run: image unpacked, bundles laid out."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any, Callable, Dict

from yardarm_agent import blobs, building, child, engine, engines, trust
from yardarm_agent.layout import Layout, plain
from yardarm_agent.trust import Signed
from yardarm_agent.unpack import remove, resolve, unpack
from yardarm_wire.files import FILES
from yardarm_wire.problems import NotVerified

GOLDEN_TIMEOUT = 270.0
"""Seconds; before the host loses patience."""

TELL_EVERY = 0.1
PARTIAL = ".partial-"

Progress = Callable[[str, int, int], None]
"""Told a phase, and how many of how many bytes are done."""


def prepare(layout: Layout, signed: Signed, downgrade: bool, tell: Progress) -> Dict[str, Any]:
    """Check a release, lay it out, and have it answer its golden inputs.

    Returns:
        {"digest": the release's, "golden": the runtime's answer, or None where its engine has
        to come first, "unpacked": whether the image was new here}.

    Raises:
        NotVerified: signature, digest or golden answer wrong. Refusal: see `trust.accept`.
    """
    release = trust.accept(layout, signed, downgrade)
    digest = "sha256:" + hashlib.sha256(signed.payload).hexdigest()
    image = release["image"]
    new = not os.path.isdir(layout.image(image["config"]))
    if new:
        _unpack(layout, image, tell)
    _mount_points(layout.image(image["config"]))
    _lay_out(layout, layout.release(digest), signed, release)
    golden = None
    if not building.lacking(layout, digest):
        tell("golden inputs", 0, 1)
        golden = _golden(layout, digest, release["run"]["threads"])
    return {"digest": digest, "golden": golden, "unpacked": new}


def discard_partial(layout: Layout) -> None:
    """Remove what earlier, interrupted preparations left."""
    for folder in (layout.root, layout.trust, layout.images, layout.releases):
        for name in os.listdir(folder):
            if PARTIAL in name:
                remove(os.path.join(folder, name))
    for name in os.listdir(layout.work):
        remove(os.path.join(layout.work, name))
    engines.discard_partial(layout)


def _unpack(layout: Layout, image: Dict[str, Any], tell: Progress) -> None:
    total = sum(layer["size"] for layer in image["layers"])
    blobs.require(layout, total)
    blobs.verify(layout, image["config"])
    for layer in image["layers"]:
        blobs.verify(layout, layer["digest"])
    target = layout.image(image["config"])
    partial = os.path.join(layout.images, PARTIAL + os.path.basename(target))
    done, told = 0, 0.0

    def advance(size: int) -> None:
        nonlocal done, told
        done += size
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            tell("unpack", done, total)

    remove(partial)
    try:
        unpack([layout.blob(layer["digest"]) for layer in image["layers"]], partial, advance)
        _mount_points(partial)
        os.sync()  # thousands of files: one sync of everything beats an fsync of each
        FILES.rename(partial, target)
    except BaseException:
        remove(partial)  # on a full disk above all
        raise


def _mount_points(root: str) -> None:
    """Also in an image that an earlier agent has unpacked, which knew fewer of them."""
    for point in engine.MOUNTPOINTS:
        folder = resolve(root, point.split("/"), point)
        os.makedirs(folder, 0o755, exist_ok=True)


def _lay_out(layout: Layout, target: str, signed: Signed, release: Dict[str, Any]) -> None:
    if os.path.isdir(target):
        return
    partial = os.path.join(layout.releases, PARTIAL + os.path.basename(target))
    remove(partial)
    bundles = os.path.join(partial, "bundles")
    os.makedirs(bundles, 0o755)
    for name, bundle in release["bundles"].items():
        folder = os.path.join(bundles, plain(name))
        os.mkdir(folder, 0o755)
        for file, blob in bundle["files"].items():
            blobs.verify(layout, blob["digest"])
            os.link(layout.blob(blob["digest"]), os.path.join(folder, plain(file)))
        FILES.sync_folder(folder)
    FILES.sync_folder(bundles)
    FILES.write(os.path.join(partial, "release.json"), signed.payload)
    FILES.write(os.path.join(partial, "release.sig"), signed.signature)
    FILES.rename(partial, target)


def _golden(layout: Layout, digest: str, threads: int) -> Dict[str, Any]:
    argv = engine.for_release(
        layout, digest, [], "golden", "--bundle", "/bundle", "--threads", str(threads)
    )
    answer = child.answer(argv, os.path.join(layout.run, "golden.log"), GOLDEN_TIMEOUT)
    if not answer.get("ok"):
        raise NotVerified("the release answers its golden inputs wrongly", "", json.dumps(answer))
    return answer
