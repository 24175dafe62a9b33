"""What packages weigh, what stays out, and what is carried twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from yardarm import lockfile
from yardarm.image import Layer, diet, entries
from yardarm.image.duplicates import Duplicate, duplicates
from yardarm.image.layer import store_layer
from yardarm.lockfile import Lock
from yardarm.store import Store


def owner(path: str) -> str:
    return path.split("/", maxsplit=1)[0]


def test_each_package_is_weighed_and_what_stays_out_is_told() -> None:
    found = [
        entries.file("a/code.py", b"12345"),
        entries.file("a/tests/test.py", b"123"),
        entries.file("b/x.pyc", b"12"),
        entries.file("b/tests/kept.py", b"1"),
        entries.folder("a"),
    ]

    chosen = diet.chosen(
        found,
        lambda path: "tests" not in path and not path.endswith(".pyc"),
        owner=owner,
        keep=["b/tests/*"],
    )

    assert [each.path for each in chosen.entries] == ["a/code.py", "b/tests/kept.py", "a"]
    assert chosen.weights == {"a": 5, "b": 1}
    assert chosen.left_out == {"a: tests": 3, "b: bytecode": 2}


def test_hard_links_weigh_once() -> None:
    data = b"x" * 100
    linked = [entries.Entry(name, "file", size=100, inode=1) for name in ("a/1", "a/2")]
    chosen = diet.chosen([*linked, entries.file("a/3", data)], lambda _: True, owner=owner)
    assert chosen.weights == {"a": 200}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("opt/yardarm/lib/numpy/tests/test_x.py", "tests"),
        ("tests/x.py", "tests"),
        ("usr/lib/python3.11/__pycache__/os.cpython-311.pyc", "bytecode"),
        ("usr/share/man/man1/x.gz", "documents"),
        ("opt/yardarm/app/app/.git/HEAD", "histories"),
        ("opt/yardarm/app/app/.mypy_cache/x", "caches"),
        ("usr/bin/dpkg", "programs"),
        ("usr/include/x.h", "headers"),
        ("usr/lib/aarch64-linux-gnu/gconv/UTF-16.so", "other"),
    ],
)
def test_kinds_of_files_for_people(path: str, kind: str) -> None:
    assert diet.kind(path) == kind


def test_what_lies_in_two_layers(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    same, other = b"s" * 5000, b"o" * 6000

    def layer(name: str, **files: bytes) -> Layer:
        found = [entries.file(path.replace("_", "/"), data) for path, data in files.items()]
        return Layer(name, store_layer(found, store), {}, cached=False)

    one = layer("base", etc_hidden=same, lib_x=other, small=b"tiny", lib_again=other)
    two = layer("wheels", etc_hidden=other, opt_y=other, small=b"tiny")

    for _ in ("made", "remembered"):
        assert duplicates([one, two], store) == (
            Duplicate(("lib/again", "etc/hidden"), ("base", "wheels"), 6000),
            Duplicate(("etc/hidden",), ("base", "wheels"), 5000),
        )


PROJECT = """
[model]
source = "model.onnx"
[data]
calibration = "c.npz"
evaluation = "e.npz"
[image]
keep = ["opt/yardarm/lib/numpy/_core/tests/*"]
"""


@pytest.mark.root
def test_the_verb_tells_the_largest_and_json_all(
    cli, lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YARDARM_STORE", str(tmp_path / "store"))
    (tmp_path / "yardarm.toml").write_text(PROJECT)
    lockfile.save(lock, tmp_path / lockfile.FILE)
    words = ("image", "--project", tmp_path, "--profile", "raspberry-pi-5")

    ran, told = cli(*words).stdout, cli(*words, "--json").json

    layers = {layer["name"]: layer for layer in told["layers"]}
    weights = layers["wheels"]["packages_bytes"]
    assert {"numpy", "onnxruntime", "psutil"} <= {*weights}
    assert 0 < sum(weights.values()) < layers["wheels"]["size_bytes"]
    assert layers["base"]["packages_bytes"]["libc6"] > 1e6
    assert "onnxruntime: C library" in layers["wheels"]["left_out_bytes"]
    assert f"numpy                  {weights['numpy'] / 1e6:.1f} MB  wheels" in ran
    assert "left out" in ran
    assert told["duplicates"] == []
