"""What is in an image, by the files of its layers, whoever made them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from yardarm.artifacts import MEDIA_LAYER, Descriptor
from yardarm.image import entries, layer
from yardarm.image.entries import Entry
from yardarm.image.inventory import inventory
from yardarm.store import Store

STATUS = """Package: libc6
Status: install ok installed
Version: 2.36-9
Architecture: arm64
Depends: libgcc-s1 (>= 12) | libgcc-s2, libcrypt1

Package: libgcc-s1
Status: install ok installed
Version: 12.2
Architecture: arm64
Description: support
 Package: none

Package: gone
Status: deinstall ok config-files
Version: 1
"""
COPYRIGHT = b"Format: x\n\nFiles: *\nLicense: Zlib\n"
METADATA = """Name: {name}
Version: 1.2
License: MIT
Requires-Dist: numpy>=1 ; python_version > "3"
Requires-Dist: pytest ; extra == "test"

Name: not this one
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def tar(*found: Entry) -> bytes:
    stream = io.BytesIO()
    layer.write(found, stream)
    return stream.getvalue()


def base() -> bytes:
    release = b'ID="ubuntu"\nVERSION_ID="22.04"\n'
    return tar(
        entries.file("var/lib/dpkg/status", STATUS.encode()),
        entries.file("usr/lib/os-release", release),
        entries.file("usr/share/doc/gcc-12-base/copyright", COPYRIGHT),
        entries.symlink("usr/share/doc/libgcc-s1", "gcc-12-base"),
        wheel("old"),
        wheel("hidden", below="opt/hidden"),
    )


def wheel(name: str, *, below: str = "usr/lib") -> Entry:
    path = f"{below}/{name}-1.2.dist-info/METADATA"
    return entries.file(path, METADATA.format(name=name).encode())


def put(store: Store, data: bytes, media_type: str = MEDIA_LAYER) -> Descriptor:
    return store.put(data, media_type)


def test_debian_packages_with_licences_and_needs(store: Store) -> None:
    found = inventory([put(store, base())], store)

    assert [(each.name, each.version) for each in found.debian] == [
        ("libc6", "2.36-9"),
        ("libgcc-s1", "12.2"),
    ]
    assert found.debian[0].requires == ("libgcc-s1", "libgcc-s2", "libcrypt1")
    assert found.debian[1].licences.names == ("Zlib",)
    assert found.distribution == ("ubuntu", "22.04")
    assert found.whole


def test_upper_layers_take_away_and_add(store: Store) -> None:
    gone = entries.file("usr/lib/.wh.old-1.2.dist-info", b"")
    opaque = entries.file("opt/hidden/.wh..wh..opq", b"")
    upper = tar(gone, opaque, wheel("new"))

    found = inventory([put(store, base()), put(store, upper)], store)

    assert [(each.name, each.requires) for each in found.python] == [
        ("new", ('numpy>=1 ; python_version > "3"',))
    ]


def test_compressed_layers_are_read(store: Store) -> None:
    packed = put(store, gzip.compress(base(), mtime=0), f"{MEDIA_LAYER}+gzip")

    assert [each.name for each in inventory([packed], store).python] == ["hidden", "old"]


@pytest.mark.parametrize("data", [b"\x28\xb5\x2f\xfd zstd", b"", gzip.compress(base())[:300]])
def test_what_cannot_be_read_is_owned_up_to(store: Store, data: bytes) -> None:
    assert not inventory([put(store, base()), put(store, data)], store).whole


def test_without_a_list_of_packages_it_is_not_whole(store: Store) -> None:
    assert not inventory([put(store, tar(wheel("only")))], store).whole


def test_a_layer_is_read_once(store: Store) -> None:
    blob = put(store, base())
    first = inventory([blob], store)
    store.path(blob.digest).unlink()

    assert inventory([blob], store) == first
