"""A lab device that a tiny release was deployed to once, for all tests of the room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import tiny
from yardarm import deploy, image, lab, profiles, project, signing
from yardarm.artifacts import Address, Bundle, Image, Release
from yardarm.events import silent
from yardarm.image import Spec
from yardarm.lockfile import Lock
from yardarm.project import Project
from yardarm.remote import Session, connect, open_session
from yardarm.signing import SigningKey
from yardarm.store import Store

PROFILE = "raspberry-pi-5"


@dataclass(frozen=True)
class Rig:
    """A device, and what is needed to make releases for it."""

    address: Address
    store: Store
    project: Project
    image: Image
    key: SigningKey

    def release(self, bundle: Bundle) -> Release:
        chosen = profiles.load(PROFILE)
        return deploy.make(self.project, chosen, self.image, bundle, store=self.store, key=self.key)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that has claimed the device and is trusted."""
        with connect(self.address) as connection:
            placed = deploy.place(connection)
            with open_session(connection, placed.path, deploy.ROOT) as session:
                deploy.claim(session, "test")
                deploy.trust(session, self.key, profiles.load(PROFILE))
                yield session


@pytest.fixture(scope="session")
def rig(lab_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    chosen = profiles.load(PROFILE)
    lab.up("deploy", chosen)
    root = tmp_path_factory.mktemp("tiny")
    (root / "yardarm.toml").write_text(
        '[model]\nsource = "m"\n[data]\ncalibration = "c"\nevaluation = "e"\n[run]\nport = 8011\n'
    )
    store = Store(root / ".yardarm" / "store")
    composed = image.compose(Spec(), chosen, store, silent, lock=Lock())
    key, _ = signing.load_or_make(root / "key")
    return Rig(lab.address("deploy"), store, project.load(root), composed, key)


@pytest.fixture(scope="session")
def first(rig: Rig) -> Release:
    """The release that runs on the device; tests leave it running."""
    made = rig.release(tiny.bundle(rig.store))
    with rig.session() as session:
        deploy.push(session, made, rig.store, silent)
        done = deploy.activate(session, made, silent)
    assert done.changed and done.golden is not None and done.golden["ok"]
    return made
