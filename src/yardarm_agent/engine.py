"""The `process` engine: a release run in a chroot with private, mostly read-only mounts.

For devices without a container engine. `command` is pure; `child` runs what it returns.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Sequence

from yardarm_agent import machine
from yardarm_agent.layout import Layout

MOUNTPOINTS = ("proc", "sys", "dev", "tmp", "run/yardarm", "bundle", "work", "engines")

TENSORRT = "tensorrt"
"""The target whose models run by an engine."""

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


def for_release(
    layout: Layout, digest: str, extra: Sequence[Bind], *arguments: str, engines: str = "ro"
) -> List[str]:
    """The argv that runs the prepared release `digest` with `arguments`. A release that runs
    by an engine is shown those that are kept, and what the device is at this moment.

    Args:
        engines: "rw" for who builds one, "" for who brings a folder of its own.
    """
    folder = layout.release(digest)
    with open(os.path.join(folder, "release.json"), "rb") as stream:
        image = json.load(stream)["image"]
    with open(layout.blob(image["config"]), "rb") as stream:
        config = json.load(stream)
    binds = [Bind("ro", os.path.join(folder, "bundles", "main"), "bundle"), *extra]
    if engines and target(layout, digest) == TENSORRT:
        told = "/engines/" + machine.write(layout.engines)
        binds.append(Bind(engines, layout.engines, "engines"))
        arguments += ("--engines", "/engines", "--device", told)
    return command(layout.image(image["config"]), config, binds, arguments)


def target(layout: Layout, digest: str) -> str:
    """What a prepared release was compiled for; "" where its manifest doesn't say."""
    manifest = os.path.join(layout.release(digest), "bundles", "main", "manifest.json")
    try:
        with open(manifest, "rb") as stream:
            return str(json.load(stream).get("target", ""))
    except (FileNotFoundError, ValueError, AttributeError):
        return ""
