from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm.image import entries, layer


def written(found: list[entries.Entry]) -> bytes:
    stream = io.BytesIO()
    layer.write(found, stream)
    return stream.getvalue()


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def grown(root: Path, *, umask: int, time: int, names: list[str]) -> Path:
    before = os.umask(umask)
    try:
        root.mkdir()
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
            os.utime(root / name, (time, time))
        (root / names[0]).chmod(0o700 if umask else 0o755)
        os.link(root / names[1], root / "hard")
        (root / "soft").symlink_to("a/tool")
        return root
    finally:
        os.umask(before)


NAMES = ["a/tool", "b/data", "a.txt", "a/é/" + "long" * 60]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return grown(tmp_path / "one", umask=0o022, time=1_000, names=NAMES)


def test_neither_folder_nor_umask_nor_time_nor_order_shows(folder: Path, tmp_path: Path) -> None:
    other = grown(
        tmp_path / "elsewhere", umask=0o077, time=2_000_000, names=NAMES[:2] + NAMES[:1:-1]
    )

    assert written(list(entries.from_folder(folder))) == written(
        list(entries.from_folder(other))[::-1]
    )


def test_links_stay_links_and_modes_are_two(folder: Path) -> None:
    found = members(written(list(entries.from_folder(folder))))

    assert found["hard"].islnk()
    assert found["hard"].linkname == "b/data"
    assert found["soft"].linkname == "a/tool"
    assert {found["a/tool"].mode, found["a"].mode} == {0o755}
    assert found["a.txt"].mode == 0o644
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found.values()} == {
        (0, 0, "", "", 0)
    }
    assert NAMES[3] in found


def test_folders_come_before_what_is_in_them(folder: Path) -> None:
    names = list(members(written(list(entries.from_folder(folder)))))

    assert names == sorted(names, key=lambda name: name.split("/"))
    assert names.index("a") < names.index("a/tool") < names.index("a.txt")


def test_missing_parents_are_added_and_the_last_of_a_name_counts() -> None:
    found = members(written([entries.file("x/y/z", b"one"), entries.file("x/y/z", b"three")]))

    assert list(found) == ["x", "x/y", "x/y/z"]
    assert found["x/y/z"].size == 5


def test_the_epoch_is_everythings_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    assert {m.mtime for m in members(written([entries.file("x/y", b"")])).values()} == {1700000000}


def test_a_tar_read_back_gives_the_same_tar(folder: Path) -> None:
    first = written(list(entries.from_folder(folder)))

    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert written(list(entries.from_tar(archive))) == first


def test_devices_stay_out_and_the_root_itself_too() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind in (("./", tarfile.DIRTYPE), ("./dev/null", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            archive.addfile(member)
    stream.seek(0)

    with tarfile.open(fileobj=stream) as archive:
        assert list(entries.from_tar(archive)) == []


PATHS = st.lists(
    st.text("abé.-", min_size=1, max_size=3).filter(lambda part: part.strip(".")),
    min_size=1,
    max_size=3,
).map("/".join)


@given(st.dictionaries(PATHS, st.binary(max_size=40), max_size=8), st.randoms())
def test_any_order_of_entries_gives_the_same_bytes(files: dict[str, bytes], random) -> None:
    found = [entries.file(f"{path}/file", data) for path, data in files.items()]
    shuffled = random.sample(found, len(found))

    assert written(found) == written(shuffled)
