from __future__ import annotations

import pytest

from yardarm.image import base

KEPT = [
    "lib/aarch64-linux-gnu/libc.so.6",
    "lib/ld-linux-aarch64.so.1",
    "usr/bin/python3.11",
    "bin/dash",
    "usr/lib/python3.11/json/__init__.py",
    "usr/lib/python3.11/lib-dynload/_ssl.cpython-311-aarch64-linux-gnu.so",
    "usr/lib/aarch64-linux-gnu/libstdc++.so.6",
    "usr/share/doc/libc6/copyright",
    "usr/share/common-licenses/GPL-3",
    "usr/lib/os-release",
    "etc/services",
    "var",
]

DROPPED = [
    "bin/tar",
    "usr/bin/dpkg",
    "usr/bin/openssl",
    "usr/sbin/start-stop-daemon",
    "usr/share/doc/libc6/changelog.gz",
    "usr/share/doc/dpkg/copyright",
    "usr/share/man/man1/python3.11.1.gz",
    "usr/share/locale/de/LC_MESSAGES/dpkg.mo",
    "usr/lib/python3.11/__pycache__/os.cpython-311.pyc",
    "usr/lib/aarch64-linux-gnu/gconv/UTF-16.so",
    "usr/lib/aarch64-linux-gnu/libselinux.so.1",
    "var/lib/dpkg/status",
    "var/log/apt/history.log",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/apt/sources.list",
    "dev/null",
]


@pytest.mark.parametrize("path", KEPT)
def test_kept(path: str) -> None:
    assert base.keep(path)


@pytest.mark.parametrize("path", DROPPED)
def test_dropped(path: str) -> None:
    assert not base.keep(path)


def test_python_is_the_profiles(pi5) -> None:
    other = pi5.os.model_copy(update={"python": "3.13", "suite": "trixie"})

    assert {"python3.13", "python3.13-minimal", "libpython3.13-stdlib"} <= {*base.packages(other)}
    assert base.key(other) != base.key(pi5.os)
