"""Debian roots: which sources count, and what a root unpacked from the mirror holds."""

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from yardarm import debian
from yardarm.errors import Unsupported
from yardarm.process import ProcessFailed


def target(uri: str, release: str, **changes: str) -> str:
    fields = {
        "MetaKey": "main/binary-amd64/Packages",
        "Repo-URI": uri,
        "Release": release,
        "Origin": "Debian",
        "Component": "main",
        "Created-By": "Packages",
    }
    return "".join(f"{name}: {value}\n" for name, value in {**fields, **changes}.items())


def test_debians_suite_updates_and_security_are_taken() -> None:
    printed = "\n".join(
        [
            target("http://mirror.test/debian/", "bookworm"),
            target("http://mirror.test/debian/", "bookworm-updates"),
            target("http://mirror.test/security/", "bookworm-security"),
        ]
    )
    assert debian.sources("bookworm", printed) == [
        "deb http://mirror.test/debian/ bookworm main",
        "deb http://mirror.test/debian/ bookworm-updates main",
        "deb http://mirror.test/security/ bookworm-security main",
    ]


@pytest.mark.parametrize(
    "other",
    [
        target("http://other.test/", "bookworm", Origin="Somebody"),
        target("http://mirror.test/debian/", "bookworm-backports"),
        target("http://mirror.test/debian/", "bookworm", Component="contrib"),
        target("http://mirror.test/debian/", "bookworm", **{"Created-By": "Translations"}),
        "Repo-URI: http://unfetched.test/\nRelease: bookworm\nComponent: main\n",
        "",
    ],
)
def test_nothing_but_debians_main_is_taken(other: str) -> None:
    assert debian.sources("bookworm", other) == []


def test_a_machine_of_another_suite_lends_its_mirror() -> None:
    printed = target("http://mirror.test/debian/", "trixie")
    assert debian.sources("bookworm", printed) == ["deb http://mirror.test/debian/ bookworm main"]


def test_status_paragraphs_with_long_descriptions() -> None:
    status = (
        "Package: a\nVersion: 1:2-3\nDescription: x\n Package: no\n\nPackage: b\nVersion: 4\n\n"
    )
    assert debian.parse_status(status) == {"a": "1:2-3", "b": "4"}


def test_without_mmdebstrap_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="not installed"):
        debian.root(["libc6"], suite="bookworm")
    assert not list(tmp_path.rglob("*staging*"))


def test_a_mirror_that_is_away_is_told_as_that() -> None:
    said = (
        "I: main() received signal PIPE\nE: Temporary failure resolving 'mirror'\nE: apt failed\n"
    )
    away = debian.unreachable(said)
    assert away is not None and away.exit_code == 6
    assert "Temporary failure" in away.hint and "PIPE" not in away.hint
    assert debian.unreachable("E: Unable to locate package nothing") is None


@pytest.mark.root
def test_a_root_is_unpacked_cached_and_the_same_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made, synced = [], []
    monkeypatch.setattr(os, "sync", lambda: synced.append(list(tmp_path.rglob("packages.json"))))
    for name in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        made.append(debian.root(["zlib1g", "base-files"], suite="bookworm"))
    first, second = (hashlib.sha256(root.tar.read_bytes()).digest() for root in made)
    assert first == second
    assert [len(found) for found in synced] == [1, 2], "before it has its name"
    assert "staging" in str(synced[0][0])

    root, written = made[1], made[1].tar.stat().st_mtime_ns
    assert debian.root(["base-files", "zlib1g"], suite="bookworm") == root
    assert root.tar.stat().st_mtime_ns == written
    assert {"zlib1g", "base-files", "libc6"} <= root.packages.keys()
    with tarfile.open(root.tar) as tar:
        names = tar.getnames()
        assert tar.getmember("./bin").linkname == "usr/bin"
    assert "./usr/share/doc/zlib1g/copyright" in names
    assert not {"./etc/apt/sources.list", "./etc/hostname", "./etc/resolv.conf"} & set(names)
    assert [name for name in names if name.startswith("./dev/")] == []


@pytest.mark.root
def test_a_package_that_does_not_exist_is_named_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ProcessFailed) as failed:
        debian.root(["no-such-package-here"], suite="bookworm")
    assert "no-such-package-here" in failed.value.hint
    assert [file.suffix for file in (tmp_path / "yardarm" / "debian").iterdir()] == [".lock"]
