"""The image itself: its digests, its config, and what happens when it can't be finished."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yardarm import image, lockfile, profiles
from yardarm.artifacts import MEDIA_LAYER, Image
from yardarm.digest import Digest
from yardarm.errors import Unsupported, YardarmError
from yardarm.events import Event, Finished
from yardarm.image import Spec, wheels
from yardarm.image.requirements import locked, request
from yardarm.lockfile import Lock
from yardarm.profiles import Profile
from yardarm.store import Store

AGAIN = """
import sys
from pathlib import Path
from yardarm import image, lockfile, profiles
from yardarm.store import Store
pi5 = profiles.load("raspberry-pi-5")
lock = lockfile.load(Path(sys.argv[2]))
print(image.compose(image.Spec(), pi5, Store(Path(sys.argv[1])), lock=lock).digest)
"""

pytestmark = pytest.mark.root


def test_another_store_gives_the_same_image(
    composed: Image, lock: Lock, pi5: Profile, tmp_path: Path
) -> None:
    assert image.compose(Spec(), pi5, Store(tmp_path / "store"), lock=lock) == composed


def test_made_from_nothing_by_another_hand(composed: Image, lock: Lock, tmp_path: Path) -> None:
    """Empty caches, another folder, umask, time zone and locale; only downloads are shared."""
    caches = Path(os.environ["XDG_CACHE_HOME"])
    changed = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(caches / "uv")),
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
    }

    lockfile.save(lock, tmp_path / lockfile.FILE)
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, tmp_path / "store", tmp_path / lockfile.FILE],
        env={**os.environ, **changed},
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    assert done.stdout.strip() == composed.digest


def test_composing_again_does_nothing_and_says_so(
    composed: Image, lock: Lock, shared_store: Store, pi5: Profile, own_cache: Path
) -> None:
    heard: list[Event] = []

    assert image.compose(Spec(), pi5, shared_store, heard.append, lock=lock) == composed

    finished = {event.step: event.cached for event in heard if isinstance(event, Finished)}
    assert finished == {"image/base": True, "image/wheels": True, "image/runtime": True}
    assert not own_cache.exists()


def test_a_lost_layer_is_made_again(
    composed: Image, lock: Lock, pi5: Profile, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    image.compose(Spec(), pi5, store, lock=lock)
    store.path(composed.layers[2].digest).unlink()

    assert [layer.cached for layer in image.layers(Spec(), pi5, store, lock=lock).parts] == [
        True,
        True,
        False,
    ]
    assert store.has(composed.layers[2].digest)


def test_manifest_and_config_say_what_it_is(composed: Image, shared_store: Store) -> None:
    manifest = shared_store.read_json(composed.digest)
    config = shared_store.read_json(composed.config.digest)

    assert [layer["mediaType"] for layer in manifest["layers"]] == [MEDIA_LAYER] * 3
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm64", "v8")
    assert config["config"]["Entrypoint"] == ["/usr/bin/python3", "-m", "yardarm_runtime"]
    assert {
        "PYTHONPATH=/opt/yardarm/lib",
        "PYTHONDONTWRITEBYTECODE=1",
        "ORT_DISABLE_TELEMETRY=1",
    } <= {*config["config"]["Env"]}
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert shared_store.resolve("image/test").digest == composed.digest


def test_contents_name_what_is_in_it(composed: Image) -> None:
    assert {"libc6", "python3.11", "numpy", "onnxruntime", "psutil", "waitress"} <= {
        *composed.contents
    }
    assert {"yardarm_runtime", "yardarm_wire"} <= {*composed.contents}
    assert not {"dpkg", "apt", "openssl", "openssh-server"} & {*composed.contents}


def test_it_is_small(composed: Image) -> None:
    assert sum(layer.size for layer in composed.layers) < 140e6


def test_a_target_without_a_base(tmp_path: Path) -> None:
    jetson = profiles.load("jetson-orin-nx-16gb")

    with pytest.raises(Unsupported, match="tensorrt"):
        image.compose(Spec(), jetson, Store(tmp_path / "store"), lock=Lock())

    assert not (tmp_path / "store").exists()


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """A file system of 20 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_leaves_nothing_half_written(
    composed: Image, lock: Lock, pi5: Profile, tiny_disk: Path
) -> None:
    store = Store(tiny_disk / "store")

    with pytest.raises(YardarmError, match="no space left") as raised:
        image.compose(Spec(), pi5, store, lock=lock)

    assert raised.value.exit_code == 1
    assert str(tiny_disk) in raised.value.where
    assert list((store.root / "blobs/sha256").iterdir()) == []
    assert list((store.root / "steps").iterdir()) == []


def test_a_full_disk_under_an_archive_keeps_the_old_one(
    composed: Image, shared_store: Store, tiny_disk: Path
) -> None:
    (tiny_disk / "image.tar").write_text("old")

    with pytest.raises(YardarmError, match="no space left"):
        image.save(composed, shared_store, tiny_disk / "image.tar", name="test:latest")

    assert [(file.name, file.read_text()) for file in tiny_disk.iterdir()] == [("image.tar", "old")]


def test_a_full_disk_under_the_cache(
    lock: Lock, pi5: Profile, tiny_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tiny_disk))

    wanted = request((), pi5)

    with pytest.raises(YardarmError, match="no space left"):
        wheels.make(wanted, locked(lock, wanted), Store(tmp_path / "store"))

    left = [file.suffix for file in (tiny_disk / "yardarm/wheels").iterdir()]
    assert left == [".lock"]


def test_digests_are_of_what_lies_there(composed: Image, shared_store: Store) -> None:
    for blob in (composed.config, *composed.layers):
        assert len(shared_store.read(Digest(blob.digest))) == blob.size
