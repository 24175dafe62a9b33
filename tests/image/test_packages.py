"""Debian packages on top of a base: fetched by apt, unpacked and never run."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from yardarm import image
from yardarm.errors import Unreachable, Unsupported
from yardarm.events import Event, Note
from yardarm.image import Spec, apt, packages, scripts
from yardarm.image.tree import Tree
from yardarm.lockfile import Lock
from yardarm.profiles import Profile
from yardarm.store import Store

LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib"}
STATUS = "Package: libc6\nStatus: install ok unpacked\nVersion: 2.36-9\nArchitecture: arm64\n"
ON = Tree(texts={"var/lib/dpkg/status": STATUS}, links=LINKS)


@pytest.fixture
def debs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that was fetched, made by dpkg-deb."""
    root = tmp_path / "made"
    for name, text in {
        "lib/aarch64-linux-gnu/libthing.so.1.2": "library",
        "usr/bin/thing": "program",
        "usr/share/man/man1/thing.1.gz": "manual",
        "usr/share/doc/thing/copyright": "licence",
        "DEBIAN/control": "Package: thing\nVersion: 1.2-3\nArchitecture: arm64\n"
        "Depends: libc6 (>= 2.36)\nMaintainer: A <a@example.test>\nDescription: x\n y\n",
        "DEBIAN/postinst": "#!/bin/sh\nset -e\n"
        "update-alternatives --install /usr/bin/it it /usr/bin/thing 10\nadduser --system thing\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "lib/aarch64-linux-gnu/libthing.so.1").symlink_to("libthing.so.1.2")
    (root / "usr/bin/thing").chmod(0o4755)
    (root / "DEBIAN/postinst").chmod(0o755)
    file = tmp_path / "thing.deb"
    subprocess.run(["dpkg-deb", "--build", root, file], check=True, capture_output=True)
    found = (apt.Package("thing", "1.2-3", file),)
    monkeypatch.setattr(apt, "fetch", lambda *_, **__: found)
    return file


def test_files_go_where_the_bases_links_lead(debs: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    record = packages.make(["thing"], "bookworm", ON, store, foreign=False)

    with tarfile.open(store.path(record["blob"]["digest"])) as tar:
        found = {member.name: member for member in tar}
        status = tar.extractfile("var/lib/dpkg/status").read().decode()
    assert "lib" not in found
    assert found["usr/lib/aarch64-linux-gnu/libthing.so.1"].linkname == "libthing.so.1.2"
    assert found["usr/bin/it"].linkname == "/usr/bin/thing"
    assert found["usr/bin/thing"].mode == 0o755
    assert "usr/share/doc/thing/copyright" in found
    assert "usr/share/man/man1/thing.1.gz" not in found
    assert record["contents"] == {"thing": "1.2-3"}
    assert record["weights"] == {"thing": len("libraryprogramlicence")}
    assert record["left_out"] == {"thing: documents": 6}
    assert Tree({"var/lib/dpkg/status": status}, {}).installed == {
        "libc6": "2.36-9",
        "thing": "1.2-3",
    }
    assert record["warnings"] == [
        "thing: its postinst is not run, which would: adduser --system thing"
    ]


def test_what_is_kept_is_asked_for(debs: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    keep = ["usr/share/man/*"]
    record = packages.make(["thing"], "bookworm", ON, store, foreign=False, keep=keep)
    assert record["left_out"] == {}


def test_key_is_of_everything_that_matters() -> None:
    def key(**changes: object) -> str:
        asked = {"names": ("a", "b"), "suite": "bookworm", "on": ON, "keep": (), "foreign": False}
        return packages.key(**asked | changes)

    assert key() == key(names=("b", "a"))
    others = [
        {"names": ("a",)},
        {"suite": "trixie"},
        {"on": Tree(texts={}, links=LINKS)},
        {"on": Tree(texts=ON.texts, links={})},
        {"keep": ("x",)},
        {"foreign": True},
    ]
    assert len({key(), *(key(**each) for each in others)}) == 7


@pytest.mark.parametrize(
    ("script", "matters"),
    [
        ("#!/bin/sh\nset -e\nldconfig\nexit 0\n", ()),
        ('set -e\nif [ "$1" = configure ]; then\n  ldconfig\nfi\n', ()),
        ("case $1 in\n configure|abort)\n  dpkg-trigger x\n ;;\n *)\n ;;\nesac\n", ()),
        ("update-alternatives \\\n  --install /usr/bin/x x \\\n  /usr/bin/y 10\n", ()),
        ("# adduser\n\n", ()),
        ("ldconfig && adduser x\n", ("ldconfig && adduser x",)),
        ("set -e\n  chmod 4755 /usr/bin/x\n", ("chmod 4755 /usr/bin/x",)),
        ("mkdir -p /var/lib/x; true\n", ("mkdir -p /var/lib/x; true",)),
    ],
)
def test_scripts_are_read(script: str, matters: tuple[str, ...]) -> None:
    assert scripts.effects(script) == matters


def test_links_of_alternatives_with_their_slaves() -> None:
    script = (
        "update-alternatives --quiet --install /usr/lib/libblas.so.3 libblas.so.3 \\\n"
        "  /usr/lib/blas/libblas.so.3 10 --slave /usr/lib/b.so b.so /usr/lib/blas/b.so\n"
        "update-alternatives --install $where name path 1\n"
    )
    made = {entry.path: entry.target for entry in scripts.alternatives(script)}
    assert made == {
        "usr/lib/libblas.so.3": "/usr/lib/blas/libblas.so.3",
        "usr/lib/b.so": "/usr/lib/blas/b.so",
    }


def test_apts_words_become_errors() -> None:
    missing = apt.failure("N: x\nE: Unable to locate package nothing\n")
    assert isinstance(missing, Unsupported)
    assert missing.hint == "Unable to locate package nothing"
    down = "E: Failed to fetch http://x.test  Could not connect to x.test:80"
    assert isinstance(apt.failure(down), Unreachable)


def test_without_apt_the_error_names_the_other_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Unsupported, match="apt-get is not installed") as raised:
        apt.fetch(["x"], {}, suite="bookworm")
    assert "[image] base" in raised.value.hint


@pytest.mark.root
def test_a_real_package_and_what_it_needs(
    lock: Lock, shared_store: Store, pi5: Profile, made: image.Layers
) -> None:
    """libi2c0 needs the base's C library; tzdata's script would write what the hour is."""
    heard: list[Event] = []
    spec = Spec(packages=("tzdata", "libi2c0"))

    found = image.layers(spec, pi5, shared_store, heard.append, lock=lock).parts

    assert [part.name for part in found] == ["base", "system", "wheels", "runtime"]
    assert {*found[1].contents} == {"libi2c0", "tzdata"}
    told = [each.text for each in heard if isinstance(each, Note) and each.level == "warning"]
    assert [text.partition(",")[0] for text in told] == ["tzdata: its postinst is not run"]
    again = image.layers(spec, pi5, shared_store, lock=lock).parts
    assert again[1].cached
    assert again[1].blob == found[1].blob
