"""Images by other hands, and by hands that were stopped in the middle."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from yardarm import image, lockfile
from yardarm.artifacts import Image
from yardarm.digest import of_file
from yardarm.image.attachments import Attachment
from yardarm.lockfile import Lock
from yardarm.signing import SigningKey
from yardarm.store import Store

pytestmark = pytest.mark.root

CARRY = """
import sys, time
time.time = lambda: 1e9
from pathlib import Path
from yardarm import image, lockfile, profiles, signing
from yardarm.image.attachments import attach
from yardarm.image.packing import packed
from yardarm.image.provenance import Origin
from yardarm.store import Store
store, lock, key, file = Store(Path(sys.argv[1])), *map(Path, sys.argv[2:])
pi5, spec = profiles.load("raspberry-pi-5"), image.Spec()
made = image.layers(spec, pi5, store, lock=lockfile.load(lock))
out = packed(image.assemble(made, store), store)
notes = attach(out, Origin("test", spec, pi5, made.used), store, key=signing.load(key))
image.save(out, store, file, name="test:latest", attachments=notes)
"""

COMPOSE = """
import sys
from pathlib import Path
from yardarm import image, lockfile, profiles
from yardarm.store import Store
lock, pi5 = lockfile.load(Path(sys.argv[2])), profiles.load("raspberry-pi-5")
print(image.compose(image.Spec(), pi5, Store(Path(sys.argv[1])), lock=lock).digest)
"""

# Who reads what root may read: the checkout and the caches can be anywhere.
NOBODY = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)


def locked(lock: Lock, folder: Path) -> Path:
    lockfile.save(lock, folder / lockfile.FILE)
    return folder / lockfile.FILE


@pytest.fixture
def mine(
    carried: Image, notes: tuple[Attachment, ...], shared_store: Store, tmp_path: Path
) -> Path:
    file = tmp_path / "mine.tar"
    image.save(carried, shared_store, file, name="test:latest", attachments=notes)
    return file


def test_another_user_carries_the_same_file(
    mine: Path, lock: Lock, key: SigningKey, tmp_path: Path
) -> None:
    """Layers, bill of materials, provenance, signatures, archive: by another user, at another
    hour, in another folder, umask, time zone and locale."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)

    subprocess.run(
        [
            *(*NOBODY, sys.executable, "-c", CARRY, elsewhere / "store"),
            *(locked(lock, tmp_path), key.file, elsewhere / "image.tar"),
        ],
        env={**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "HOME": str(elsewhere)},
        umask=0o077,
        cwd=elsewhere,
        timeout=200,
        check=True,
    )

    assert (elsewhere / "image.tar").stat().st_uid == 65534
    assert of_file(elsewhere / "image.tar") == of_file(mine)


@pytest.mark.parametrize("blobs", [0, 1, 2])
def test_a_kill_while_composing_leaves_nothing_half(
    composed: Image, lock: Lock, tmp_path: Path, blobs: int
) -> None:
    """Killed while the blob after so many is written: what is there is whole, and the next
    one finishes."""
    store, file = Store(tmp_path / "store"), locked(lock, tmp_path)
    place = store.root / "blobs/sha256"
    argv = [sys.executable, "-c", COMPOSE, store.root, file]

    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    while child.poll() is None and not writing(place, after=blobs):
        time.sleep(0.0005)
    child.send_signal(signal.SIGKILL)
    child.wait()

    for blob in place.glob("[!.]*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=200)
    assert done.stdout.strip() == composed.digest


def writing(place: Path, *, after: int) -> bool:
    names = [file.name for file in place.glob("*")] if place.exists() else []
    partial = [name for name in names if name.startswith(".partial-")]
    return bool(partial) and len(names) - len(partial) >= after
