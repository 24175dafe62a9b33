"""The Dockerfile that is printed is held against the image that was composed."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import foreign_bases as bases
from yardarm import image
from yardarm.artifacts import Image
from yardarm.image import Layers, Spec
from yardarm.image.dockerfile import dockerfile
from yardarm.lockfile import Lock
from yardarm.profiles import Profile
from yardarm.store import Store

pytestmark = pytest.mark.root


def instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in pairs]


def arguments(text: str, name: str) -> list[str]:
    return [rest for found, rest in instructions(text) if found == name]


def test_it_starts_as_the_image_does(made: Layers, composed: Image, shared_store: Store) -> None:
    text = dockerfile(made, composed.config, shared_store)

    started = shared_store.read_json(composed.config.digest)["config"]
    told = dict(pair.split("=", 1) for rest in arguments(text, "ENV") for pair in shlex.split(rest))
    assert told == dict(pair.split("=", 1) for pair in started["Env"])
    assert json.loads(arguments(text, "ENTRYPOINT")[0]) == started["Entrypoint"]
    assert json.loads(arguments(text, "CMD")[0]) == started["Cmd"]
    assert arguments(text, "USER") == [started["User"]]
    assert arguments(text, "ARG") == ["BASE=debian:bookworm-slim"]
    assert "sha256:" not in "".join(arguments(text, "ARG"))


def test_every_wheel_is_there_with_its_hash(
    made: Layers, composed: Image, shared_store: Store
) -> None:
    (install,) = [
        rest
        for rest in arguments(dockerfile(made, composed.config, shared_store), "RUN")
        if "--require-hashes" in rest
    ]
    (wheels,) = made.lock.wheels.values()
    asked = {word for word in shlex.split(install) if "--hash" in word}
    assert asked == {f"{p.name}=={p.version} --hash=sha256:{p.sha256}" for p in wheels.pinned}


def test_debians_packages_are_pinned(made: Layers, composed: Image, shared_store: Store) -> None:
    system = replace(made.parts[0], name="system", contents={"libi2c0": "4.3-2+b3"})
    on_top = replace(made, parts=(made.parts[0], system, *made.parts[1:]))
    text = dockerfile(on_top, composed.config, shared_store)
    (install,) = [rest for rest in arguments(text, "RUN") if "--allow-downgrades" in rest]
    version = made.parts[0].contents["python3.11"]
    assert {"libi2c0=4.3-2+b3", f"python3.11={version}"} <= {*shlex.split(install)}


def test_the_application_and_a_base_on_disk(
    lock: Lock, pi5: Profile, shared_store: Store, tmp_path: Path
) -> None:
    bases.layout(tmp_path / "base", [bases.tar(bases.python())])
    (tmp_path / "src/app").mkdir(parents=True)
    (tmp_path / "src/app/main.py").write_text("")
    spec = Spec(base="oci:base", source=(tmp_path / "src/app",), root=tmp_path)
    made = image.layers(spec, pi5, shared_store, lock=lock)

    text = dockerfile(made, image.assemble(made, shared_store).config, shared_store)

    assert ["src/app", "/opt/yardarm/app/app"] in [
        json.loads(rest) for rest in arguments(text, "COPY") if rest.startswith("[")
    ]
    assert arguments(text, "WORKDIR") == ["/opt/yardarm/app"]
    assert arguments(text, "ARG") == ["BASE"]
    assert "push it to a registry" in text
    assert not [rest for rest in arguments(text, "RUN") if "--allow-downgrades" in rest]
    assert str(tmp_path) not in text


def test_a_registrys_base_is_pinned_by_the_lock(
    made: Layers, composed: Image, shared_store: Store
) -> None:
    name, digest = "registry.test/team/base:1", "sha256:" + "a" * 64
    lock = Lock({name: digest}, made.lock.wheels)
    text = dockerfile(replace(made, spec=Spec(base=name), lock=lock), composed.config, shared_store)
    assert arguments(text, "ARG") == [f"BASE={name}@{digest}"]
