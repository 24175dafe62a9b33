"""A base of a real registry: its digest is locked, and nothing is asked for again."""

from __future__ import annotations

import json
from pathlib import Path

import foreign_bases as bases
from foreign_bases import file, python, tar
from registry_images import skopeo
from registry_rig import registry
from yardarm.image import Spec, foundation
from yardarm.image.foundation import Foundation
from yardarm.image.making import Maker
from yardarm.lockfile import Lock
from yardarm.profiles import Profile
from yardarm.store import Store


def push(folder: Path, address: str) -> str:
    name = f"{address}/team/base:1"
    words = ("--insecure-policy", "copy", "--dest-tls-verify=false", "--preserve-digests")
    skopeo(*words, f"oci:{folder}:latest", f"docker://{name}")
    digest: str = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
    return digest


def lay(name: str, store: Store, profile: Profile, lock: Lock) -> Foundation:
    return foundation.lay(Spec(base=name), profile, Maker(store, lambda _: None), lock)


def test_the_base_is_locked(pi5: Profile, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    layers = [tar(python()), tar([file("opt/x")])]
    first = bases.layout(tmp_path / "first", layers)
    second = bases.layout(tmp_path / "second", [tar([*python(), file("new")])])
    with registry(tmp_path / "registry") as address:
        name = f"{address}/team/base:1"
        digest = push(first, address)
        found = lay(name, store, pi5, Lock())
        assert push(second, address) != digest
        assert lay(name, store, pi5, found.lock).lock.bases == {name: digest}
        elsewhere = lay(name, Store(tmp_path / "other"), pi5, found.lock)
        assert lay(name, store, pi5, Lock()).lock.bases[name] != digest

    assert found.lock.bases == {name: digest}
    assert [part.diff_id for part in found.layers[:-1]] == list(map(bases.digest, layers))
    assert elsewhere.layers[0].blob == found.layers[0].blob
    alone = lay(name, store, pi5, found.lock)
    assert alone.layers[0].blob == found.layers[0].blob
