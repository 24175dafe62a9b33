"""Versions and signatures of releases: kept while nothing changes, growing when it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny
from yardarm import deploy, profiles, project, signing
from yardarm.artifacts import MEDIA_CONFIG, Image, Release
from yardarm.store import Store

SETTINGS = '[model]\nsource = "m"\n[data]\ncalibration = "c"\nevaluation = "e"\n'


class Maker:
    def __init__(self, folder: Path) -> None:
        (folder / "yardarm.toml").write_text(SETTINGS)
        self.folder = folder
        self.store = Store(folder / "store")
        self.key, _ = signing.load_or_make(folder / "key")
        config = self.store.put(b"{}", MEDIA_CONFIG)
        self.image = Image(config.digest, config, (), {})

    def __call__(self, scale: float, profile: str = "raspberry-pi-5", **more: bool) -> Release:
        return deploy.make(
            project.load(self.folder),
            profiles.load(profile),
            self.image,
            tiny.bundle(self.store, scale),
            store=self.store,
            key=self.key,
            **more,
        )


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def test_an_unchanged_release_keeps_version_and_signature(make: Maker) -> None:
    first = make(1.0)
    assert make(1.0) == first


def test_going_back_is_a_newer_release_and_not_an_older_one(make: Maker) -> None:
    """Else a model that is reverted would be refused by every device that had the other."""
    first, other, back = make(1.0), make(2.0), make(1.0)
    assert first.version < other.version < back.version
    bundles = [json.loads(made.payload)["bundles"] for made in (first, back)]
    assert bundles[0] == bundles[1] and first.digest != back.digest
    assert make(1.0) == back


def test_device_classes_have_releases_of_their_own(make: Maker) -> None:
    first = make(1.0)
    make(1.0, "raspberry-pi-4b")
    assert make(1.0) == first


def test_a_plan_leaves_no_trace(make: Maker) -> None:
    first = make(1.0)
    make(2.0, remember=False)
    assert make(1.0) == first


def test_a_release_whose_blobs_are_gone_is_signed_again(make: Maker) -> None:
    first = make(1.0)
    make.store.path(first.digest).unlink()
    assert make(1.0).version > first.version
