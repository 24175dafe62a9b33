"""Layers unpacked: what they say below the root, and nothing at all outside of it."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yardarm_agent.unpack import resolve, unpack
from yardarm_wire.problems import NotVerified, Problem

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, data: bytes = b"data", mode: int = 0o644) -> Member:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    return info, data


def entry(name: str, kind: bytes, target: str = "", mode: int = 0o755) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return info, b""


def folder(name: str, mode: int = 0o755) -> Member:
    return entry(name, tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Member:
    return entry(name, tarfile.SYMTYPE, target)


def hardlink(name: str, target: str) -> Member:
    return entry(name, tarfile.LNKTYPE, target)


Unpack = Callable[..., Path]

UNTOUCHED = {"images/bystander": b"untouched", "outside/secret": b"untouched"}


def unpack_below(top: Path, layers: Sequence[list[Member]]) -> Path:
    """Unpack layers, each a list of members, into images/root; bystanders lie around it."""
    for bystander, data in UNTOUCHED.items():
        (top / bystander).parent.mkdir()
        (top / bystander).write_bytes(data)
    paths = []
    for number, members in enumerate(layers):
        path = top / f"{number}.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for info, data in members:
                archive.addfile(info, io.BytesIO(data))
        paths.append(str(path))
    root = top / "images" / "root"
    unpack(paths, str(root), lambda _size: None)
    return root


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpack:
    return lambda *layers: unpack_below(tmp_path, layers)


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def outside(tmp_path: Path) -> dict[str, bytes]:
    found = {}
    for top in ("images", "outside"):
        for path in (tmp_path / top).rglob("*"):
            if "root" not in path.relative_to(tmp_path).parts and path.is_file():
                found[str(path.relative_to(tmp_path))] = path.read_bytes()
    return found


def test_what_a_layer_says_is_there(unpacked: Unpack) -> None:
    root = unpacked(
        [
            folder("bin", 0o711),
            file("bin/tool", b"#!", 0o4755),
            symlink("bin/other", "tool"),
            hardlink("bin/same", "bin/tool"),
            file("deep/without/folders", b""),
            file("./dotted", b"x" * 300_000, 0o600),
            file("ключ" * 30, b"long name"),
        ]
    )
    assert stat.S_IMODE((root / "bin").stat().st_mode) == 0o711
    assert stat.S_IMODE((root / "bin/tool").stat().st_mode) == 0o4755
    assert (root / "bin/other").readlink() == Path("tool")
    assert (root / "bin/same").samefile(root / "bin/tool")
    assert (root / "deep/without/folders").read_bytes() == b""
    assert (root / "dotted").read_bytes() == b"x" * 300_000
    assert (root / ("ключ" * 30)).read_bytes() == b"long name"


def test_progress_counts_bytes(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    with tarfile.open(path, "w") as archive:
        for info, data in [file("a", b"x" * 10), file("b", b"x" * 20)]:
            archive.addfile(info, io.BytesIO(data))
    told: list[int] = []
    unpack([str(path)], str(tmp_path / "root"), told.append)
    assert told == [10, 20]


def test_a_later_layer_replaces_and_removes(unpacked: Unpack) -> None:
    root = unpacked(
        [file("keep"), file("gone"), file("old/a"), file("old/b"), file("whole/a"), file("f/a")],
        [
            file(".wh.gone", b""),
            file("old/.wh.a", b""),
            file("whole/.wh..wh..opq", b""),
            file("whole/b"),
            file("f", b"now a file"),
            file("keep", b"new"),
            file(".wh.never-there", b""),
        ],
    )
    assert names(root) == ["f", "keep", "old", "whole"]
    assert names(root / "old") == ["b"] and names(root / "whole") == ["b"]
    assert (root / "f").read_bytes() == b"now a file" and (root / "keep").read_bytes() == b"new"


def test_a_replaced_file_leaves_its_hard_link_as_it_was(unpacked: Unpack) -> None:
    root = unpacked([file("a", b"old"), hardlink("b", "a")], [file("a", b"new")])
    assert (root / "a").read_bytes() == b"new" and (root / "b").read_bytes() == b"old"


HOSTILE = {
    "absolute": [file("/etc/passwd")],
    "above": [file("../escaped")],
    "above in the middle": [file("a/../../escaped")],
    "hard link above": [hardlink("x", "../bystander")],
    "hard link absolute": [hardlink("x", "/etc/hostname")],
    "hard link to a folder": [folder("d"), hardlink("x", "d")],
    "hard link to nothing": [hardlink("x", "nothing")],
    "hard link to itself": [file("x"), hardlink("x", "x")],
    "character device": [entry("null", tarfile.CHRTYPE)],
    "block device": [entry("disk", tarfile.BLKTYPE)],
    "pipe": [entry("pipe", tarfile.FIFOTYPE)],
    "circle": [symlink("a", "b"), symlink("b", "a"), file("a/x")],
    "whiteout of the parent": [file(".wh...", b"")],
    "whiteout of the folder": [file("d/.wh..", b"")],
    "whiteout of nothing": [file("d/.wh.", b"")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_members_are_refused_by_name(
    unpacked: Unpack, tmp_path: Path, members: list[Member]
) -> None:
    with pytest.raises(NotVerified) as caught:
        unpacked(members)
    assert caught.value.where in (members[-1][0].name, members[-1][0].linkname)
    assert outside(tmp_path) == UNTOUCHED


def test_links_are_followed_as_inside_a_chroot(unpacked: Unpack, tmp_path: Path) -> None:
    """Absolute and climbing targets lead below the root, where the writes then land."""
    root = unpacked(
        [
            symlink("absolute", f"{tmp_path}/outside"),
            symlink("climbing", "../../../outside"),
            symlink("lib", "/usr/lib"),
            file("absolute/secret", b"inside"),
            file("climbing/secret", b"inside"),
            file("lib/x", b"inside"),
        ]
    )
    assert outside(tmp_path) == UNTOUCHED
    assert (root / f"{tmp_path}/outside/secret".lstrip("/")).read_bytes() == b"inside"
    assert (root / "outside/secret").read_bytes() == b"inside"
    assert (root / "usr/lib/x").read_bytes() == b"inside"


def test_a_link_is_replaced_not_written_through(unpacked: Unpack, tmp_path: Path) -> None:
    secret = str(tmp_path / "outside" / "secret")
    root = unpacked(
        [symlink("x", secret), file("x", b"new"), symlink("d", f"{tmp_path}/outside"), folder("d")]
    )
    assert outside(tmp_path) == UNTOUCHED
    assert (root / "x").read_bytes() == b"new" and not (root / "d").is_symlink()


def test_a_hard_link_to_a_link_stays_a_link(unpacked: Unpack, tmp_path: Path) -> None:
    secret = str(tmp_path / "outside" / "secret")
    root = unpacked([symlink("x", secret), hardlink("y", "x")])
    assert (root / "y").readlink() == Path(secret)
    assert Path(secret).stat().st_nlink == 1


def test_a_whiteout_of_a_link_takes_the_link(unpacked: Unpack, tmp_path: Path) -> None:
    root = unpacked([symlink("d", f"{tmp_path}/outside")], [file(".wh.d", b"")])
    assert names(root) == [] and outside(tmp_path) == UNTOUCHED


def test_an_opaque_folder_behind_a_link_is_the_one_inside(unpacked: Unpack, tmp_path: Path) -> None:
    unpacked([symlink("d", f"{tmp_path}/outside")], [file("d/.wh..wh..opq", b"")])
    assert outside(tmp_path) == UNTOUCHED


@pytest.mark.parametrize("damage", ["noise", "torn data", "torn header"])
def test_what_is_no_whole_tar_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "layer.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(file("a", b"x" * 2000)[0], io.BytesIO(b"x" * 2000))
    data = path.read_bytes()
    torn = {"noise": b"noise" * 200, "torn data": data[:1000], "torn header": data[:100]}
    path.write_bytes(torn[damage])
    with pytest.raises(NotVerified, match="no whole tar"):
        unpack([str(path)], str(tmp_path / "root"), lambda _size: None)


NAMES = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh..", ".wh...", ".wh..wh..opq"]),
    min_size=1,
    max_size=4,
).map("/".join)
TARGETS = st.sampled_from(["a", "../..", "/", "../../outside", "/a/b", ".", "b/../../.."])
MEMBERS = st.one_of(
    NAMES.map(file),
    NAMES.map(folder),
    st.builds(symlink, NAMES, TARGETS),
    st.builds(hardlink, NAMES, st.one_of(NAMES, TARGETS)),
)


@settings(max_examples=150, deadline=None)
@given(layers=st.lists(st.lists(MEMBERS, max_size=6), min_size=1, max_size=2))
def test_no_layers_touch_anything_outside(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[Member]]
) -> None:
    top = tmp_path_factory.mktemp("fuzz")
    with suppress(Problem, OSError):
        unpack_below(top, layers)
    assert outside(top) == UNTOUCHED
    assert names(top / "outside") == ["secret"]


@given(st.lists(st.sampled_from(["a", "..", ".", "loop", "up", "abs"]), max_size=6))
def test_no_path_resolves_outside(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "resolve"
    if not root.exists():
        (root / "a").mkdir(parents=True)
        (root / "loop").symlink_to("loop")
        (root / "up").symlink_to("../../..")
        (root / "abs").symlink_to("/etc")
    try:
        found = resolve(str(root), parts, "member")
    except NotVerified:
        return
    assert found == str(root) or found.startswith(f"{root}/")
    assert ".." not in found.split("/")
