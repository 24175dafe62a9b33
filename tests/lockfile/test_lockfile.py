"""The lock file: one text for a lock, and what is wrong with a damaged one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm import lockfile
from yardarm.digest import Digest
from yardarm.errors import InvalidInput
from yardarm.lockfile import Lock, Pinned, Wheels

TARGET = "cp311-aarch64-manylinux_2_36"
NUMPY = Pinned("numpy", "2.4.0", "numpy-2.4.0-cp311-cp311-manylinux_2_28_aarch64.whl", "a" * 64, 9)
PSUTIL = Pinned("psutil", "7.0", "psutil-7.0-cp36-abi3-manylinux2014_aarch64.whl", "b" * 64, 7)
LOCK = Lock(
    {"team/base:1": Digest("sha256:" + "c" * 64)},
    {TARGET: Wheels(("numpy", 'pillow>=10; python_version > "3.8"'), (NUMPY, PSUTIL))},
)

TEXT = f"""\
# What the images of this project are made of. Yardarm writes it; commit it.
# `yardarm wheels --lock` resolves the wheels anew.
version = 1

[bases]
"team/base:1" = "sha256:{"c" * 64}"

[wheels."{TARGET}"]
requirements = [
  "numpy",
  "pillow>=10; python_version > \\"3.8\\"",
]
pinned = [
  {{ name = "numpy", version = "2.4.0", file = "{NUMPY.file}", size = 9, sha256 = "{"a" * 64}" }},
  {{ name = "psutil", version = "7.0", file = "{PSUTIL.file}", size = 7, sha256 = "{"b" * 64}" }},
]
"""


def test_one_text_whatever_the_order() -> None:
    wheels = LOCK.wheels[TARGET]
    turned = Wheels(wheels.requirements[::-1], wheels.pinned[::-1])

    assert lockfile.dump(LOCK) == TEXT
    assert lockfile.dump(LOCK.with_wheels(TARGET, turned)) == TEXT


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "yardarm.lock"
    lockfile.save(LOCK, file)
    before = file.stat().st_mtime_ns

    assert lockfile.load(file) == LOCK
    lockfile.save(LOCK, file)
    assert file.stat().st_mtime_ns == before


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    dumped = lockfile.dump(Lock({}, {text: Wheels((text,), ())}))

    assert tomllib.loads(dumped)["wheels"] == {text: {"requirements": [text], "pinned": []}}


def test_no_file_is_an_empty_lock(tmp_path: Path) -> None:
    assert lockfile.load(tmp_path / "yardarm.lock") == Lock()
    assert lockfile.dump(Lock()).splitlines()[-1] == "version = 1"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version = 1", "version = 2", "version 2, and this Yardarm reads 1"),
        ("version = 1", "", "version None"),
        ("[bases]", "[bases", "not valid TOML"),
        ("[bases]", "[places]", "places: Extra inputs"),
        ('"sha256:', '"sha1:', "bases.team/base:1: "),
        ("size = 9", "size = -9", f"wheels.{TARGET}.pinned.0.size: "),
        ("size = 9, ", "", f"wheels.{TARGET}.pinned.0.size: Field required"),
        ("aaaa", "AAAA", f"wheels.{TARGET}.pinned.0.sha256: "),
        ('file = "numpy', 'file = "../numpy', f"wheels.{TARGET}.pinned.0.file: "),
        ('  "numpy",', '  "-e .",', f"wheels.{TARGET}.requirements.0: "),
        ('name = "numpy', 'name = "--numpy', f"wheels.{TARGET}.pinned.0.name: "),
    ],
)
def test_damage_is_told_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "yardarm.lock"
    assert old in TEXT
    file.write_text(TEXT.replace(old, new))

    with pytest.raises(InvalidInput, match=re.escape(said)) as raised:
        lockfile.load(file)

    assert raised.value.where == str(file)
