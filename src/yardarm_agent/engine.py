"""The `process` engine: a release run in a chroot with private, mostly read-only mounts.

For devices without a container engine. `command` is pure; the others act.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence

from yardarm_agent.layout import Layout
from yardarm_wire.problems import NotVerified

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


def answer(argv: Sequence[str], timeout: float) -> Dict[str, Any]:
    """Run to the end and return the JSON object that was printed last.

    Raises:
        NotVerified: it failed without an answer, or took longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotVerified("the release gave no answer within %.0f s" % timeout) from None
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        body = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise NotVerified(
            "the release failed with code %d" % done.returncode, "", _tail(done.stderr)
        ) from None
    if not isinstance(body, dict):
        raise NotVerified("the release printed no answer")
    return body


def follow(argv: Sequence[str], errors: str) -> Iterator[Dict[str, Any]]:
    """Run and yield each JSON line as it is printed; stderr goes to the file `errors`.

    The program is killed when the caller stops listening.

    Raises:
        NotVerified: it exits with another code than 0.
    """
    with open(errors, "wb") as log:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        try:
            assert child.stdout is not None
            for line in child.stdout:
                yield json.loads(line.decode())
            code = child.wait()
        finally:
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
    if code != 0:
        with open(errors, "rb") as log:
            raise NotVerified("the run failed with code %d" % code, "", _tail(log.read()))


def _tail(data: bytes) -> str:
    return "\n".join(data.decode("utf-8", "replace").strip().splitlines()[-4:])
