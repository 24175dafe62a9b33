"""One image for all tests of the room; what it is made of is cached for the user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from yardarm import image, profiles, signing
from yardarm.artifacts import Image
from yardarm.image import Layers, Spec
from yardarm.image.attachments import Attachment, attach
from yardarm.image.packing import packed
from yardarm.image.provenance import Origin
from yardarm.lockfile import Lock
from yardarm.profiles import Profile
from yardarm.signing import SigningKey
from yardarm.store import Store

REFERENCE = "image/test"


@pytest.fixture(scope="session")
def pi5() -> Profile:
    return profiles.load("raspberry-pi-5")


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("image") / "store")


@pytest.fixture(scope="session")
def made(shared_store: Store, pi5: Profile) -> Layers:
    """The plain image's layers for a Pi 5, with the lock that they came to."""
    return image.layers(Spec(), pi5, shared_store, lock=Lock())


@pytest.fixture(scope="session")
def lock(made: Layers) -> Lock:
    return made.lock


@pytest.fixture(scope="session")
def composed(made: Layers, shared_store: Store) -> Image:
    """The plain image for a Pi 5, in `shared_store` as `image/test`."""
    return image.assemble(made, shared_store, reference=REFERENCE)


@pytest.fixture(scope="session")
def carried(composed: Image, shared_store: Store) -> Image:
    """The same image as it leaves the store."""
    return packed(composed, shared_store)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return signing.load_or_make(tmp_path_factory.mktemp("key") / "release")[0]


@pytest.fixture(scope="session")
def origin(made: Layers, pi5: Profile) -> Origin:
    return Origin("test", made.spec, pi5, made.used)


@pytest.fixture(scope="session")
def notes(
    carried: Image, origin: Origin, shared_store: Store, key: SigningKey
) -> tuple[Attachment, ...]:
    """What is attached to the image as it leaves."""
    return attach(carried, origin, shared_store, key=key)


@pytest.fixture(scope="session")
def needs() -> Callable[[str], None]:
    """Skip where a judge is not installed; CI has them all."""

    def check(program: str) -> None:
        if shutil.which(program) is None:
            if os.environ.get("CI"):
                pytest.fail(f"CI skips nothing, but {program} is not installed")
            pytest.skip(f"{program} is not installed; scripts/setup installs it on Debian")

    return check


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "yardarm"
