"""The `process` engine: a release run in a chroot with private, mostly read-only mounts.

For devices without a container engine. `command` is pure; `child` runs what it returns.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Sequence

from yardarm_agent.layout import Layout

MOUNTPOINTS = ("proc", "sys", "dev", "tmp", "run/yardarm", "bundle", "work")

PASSED_ON = ("QEMU_CPU",)
"""Variables of our own environment that reach the release: only what an emulator needs."""

_ENTER = """
root=$1; shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
for tree in proc sys dev; do mount --rbind "/$tree" "$root/$tree"; done
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/tmp"
while [ "$1" != -- ]; do
  mount --bind "$2" "$root/$3"
  if [ "$1" = ro ]; then mount -o remount,bind,ro "$root/$3"; fi
  shift 3
done
shift
exec env -i "$@"
"""


class Bind(NamedTuple):
    """A folder of the device shown to the release; `mode` is "ro" or "rw"."""

    mode: str
    source: str
    target: str


def command(
    root: str, config: Dict[str, Any], binds: Sequence[Bind], arguments: Sequence[str]
) -> List[str]:
    """The argv that runs the image's entry point with `arguments` below `root`.

    Args:
        config: the image's OCI config; its Env and Entrypoint are used.
    """
    run = config["config"]
    passed = ["%s=%s" % (name, os.environ[name]) for name in PASSED_ON if name in os.environ]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    flat = [part for bind in binds for part in bind]
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-euc",
        _ENTER,
        "yardarm",
        root,
        *flat,
        "--",
        path,
        *run.get("Env", []),
        *passed,
        "chroot",
        root,
        *run["Entrypoint"],
        *arguments,
    ]


def for_release(layout: Layout, digest: str, extra: Sequence[Bind], *arguments: str) -> List[str]:
    """The argv that runs the prepared release `digest` with `arguments`."""
    folder = layout.release(digest)
    with open(os.path.join(folder, "release.json"), "rb") as stream:
        image = json.load(stream)["image"]
    with open(layout.blob(image["config"]), "rb") as stream:
        config = json.load(stream)
    binds = [Bind("ro", os.path.join(folder, "bundles", "main"), "bundle"), *extra]
    return command(layout.image(image["config"]), config, binds, arguments)
