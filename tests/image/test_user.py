"""The image runs as nobody special, on a root that it can't write to, without a shell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from yardarm.artifacts import Image
from yardarm.image import account
from yardarm.store import Store
from yardarm_agent.unpack import unpack

# Everything that is mounted goes with the namespace.
ENTER = """
set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --bind "$2" "$1/proc/cpuinfo"
for place in tmp work; do mount -t tmpfs -o mode=1777 tmpfs "$1/$place"; done
mount -o remount,bind,ro "$1"
shift 2
exec "$@"
"""

LOOK = """
import json, os, pathlib, pwd, grp, subprocess, sys
pathlib.Path("/work/result").write_text("x")
pathlib.Path("/tmp/result").write_text("x")
try:
    open("/opt/yardarm/lib/x", "w")
except OSError as error:
    refused = error.strerror
user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
print(json.dumps({"user": user, "group": group, "refused": refused}))
"""


def test_what_is_there_stays_and_ours_comes_once() -> None:
    first = {
        each.path: each for each in account.added(b"root:x:0:0::/root:/bin/sh", b"root:x:0:\n")
    }
    passwd, group = (first[name].open().read() for name in ("etc/passwd", "etc/group"))
    assert passwd.decode().splitlines() == [
        "root:x:0:0::/root:/bin/sh",
        "yardarm:x:10001:10001::/work:/usr/sbin/nologin",
    ]
    again = {each.path: each for each in account.added(passwd, group)}
    assert again["etc/passwd"].open().read() == passwd
    assert again["etc/group"].open().read() == group
    assert first["work"].sticky


def test_a_jetsons_user_is_in_the_group_of_the_gpu() -> None:
    assert account.user("tensorrt") == "10001:44"


@pytest.fixture(scope="module")
def root(composed: Image, shared_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("user") / "root"
    unpack(
        [str(shared_store.path(each.digest)) for each in composed.layers], str(made), lambda _: 0
    )
    for shell in ("usr/bin/sh", "usr/bin/dash"):
        (made / shell).unlink()
    return made


@pytest.mark.root
@pytest.mark.parametrize("what", ["selftest", "look"])
def test_it_runs_as_its_user(
    root: Path, composed: Image, shared_store: Store, tmp_path: Path, what: str
) -> None:
    config = shared_store.read_json(composed.config.digest)["config"]
    assert config["User"] == "10001:10001"
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU part\t: 0xd0b\nFeatures\t: fp asimd\n")
    words = ["selftest", "--json"] if what == "selftest" else ["-c", LOOK]
    entry = config["Entrypoint"] if what == "selftest" else config["Entrypoint"][:1]

    done = subprocess.run(
        [
            *("timeout", "-k", "5", "200", "unshare", "-m", "sh", "-c", ENTER, "enter"),
            *(root, tmp_path / "cpuinfo", "env", "-i", *config["Env"]),
            *("chroot", f"--userspec={config['User']}", "--groups=", root, *entry, *words),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    if what == "look":
        assert said == {"user": "yardarm", "group": "yardarm", "refused": "Read-only file system"}
    else:
        assert said["ok"]
