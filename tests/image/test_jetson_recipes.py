"""The recipes in docker/ are never built here: they are read, and held against the profiles."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from yardarm import profiles
from yardarm.errors import Unsupported
from yardarm.image import Spec, account, compose, jetson
from yardarm.image.config import ENTRYPOINT
from yardarm.image.requirements import ALWAYS
from yardarm.image.runtime import PACKAGES
from yardarm.image.wheels import LIBRARY
from yardarm.lockfile import Lock
from yardarm.store import Store

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "docker"
RECIPES = sorted(DOCKER.glob("jetson-*/Containerfile"))
ALL = sorted(DOCKER.glob("*/Containerfile"))
HOST = re.compile(r"\b[\w-]+(\.[\w-]+)*\.(com|io|org|net|dev|cn|ai)\b|localhost|://")
RELEASES = {
    (found.jetpack, found.l4t): found
    for name in profiles.names()
    for found in profiles.load(name).releases
}.values()


def instructions(file: Path) -> list[tuple[str, str]]:
    """Each instruction and its arguments, continued lines joined."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in pairs]


def arguments(file: Path, name: str) -> list[str]:
    return [rest for found, rest in instructions(file) if found == name]


def defaults(file: Path) -> dict[str, str]:
    return dict(rest.partition("=")[::2] for rest in arguments(file, "ARG"))


def named(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def of(file: Path) -> list[profiles.Release]:
    """The releases that a recipe is for, the newest-known first in the table of profiles."""
    return [each for each in RELEASES if jetson.base(each).recipe == named(file)]


def test_every_release_has_its_recipe() -> None:
    assert {jetson.base(each).recipe for each in RELEASES} == {named(file) for file in RECIPES}


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.parent.name)
def test_recipe_has_the_python_and_tensorrt_of_its_releases(file: Path) -> None:
    said = defaults(file)
    assert {each.python for each in of(file)} == {said["PYTHON"]}
    versions = [each.tensorrt for each in of(file)]
    assert any(f"{version}.".startswith(f"{said['TENSORRT']}.") for version in versions)
    (head, *_) = file.read_text().split("ARG BASE")
    for version in versions:
        assert ".".join(version.split(".")[:2]) in head
    (labels,) = arguments(file, "LABEL")
    told = dict(pair.split("=", 1) for pair in shlex.split(labels))
    assert told["yardarm.python"] == said["PYTHON"]
    assert told["yardarm.tensorrt"] == said["TENSORRT"]
    assert told["yardarm.verified_on_hardware"] == "never"


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.parent.name)
def test_recipe_says_that_it_was_never_built(file: Path) -> None:
    assert file.read_text().startswith("# Never built here")


@pytest.mark.parametrize("file", [*ALL, DOCKER / "README.md"], ids=lambda file: file.parent.name)
def test_no_registry_is_named(file: Path) -> None:
    text = file.read_text().replace("nvidia.com/gpu=all", "")  # a CDI device, no host
    assert not HOST.search(text)


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.parent.name)
def test_base_is_the_users(file: Path) -> None:
    assert defaults(file)["BASE"] == ""
    assert {each.split()[0] for each in arguments(file, "FROM")} == {"${BASE}"}


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.parent.name)
def test_what_is_copied_exists_and_is_not_ignored(file: Path) -> None:
    ignore = (REPOSITORY / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in ignore if line.startswith("!")]
    sources = [rest.split()[0] for rest in arguments(file, "COPY")]
    assert sources == ["docker/check_base.py", "src/yardarm_wire", "src/yardarm_runtime"]
    for source in sources:
        assert (REPOSITORY / source).exists()
        assert any(fnmatch(source, pattern) for pattern in kept)


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.parent.name)
def test_image_is_laid_out_as_composed_ones_are(file: Path) -> None:
    targets = [rest.split()[1] for rest in arguments(file, "COPY")][1:]
    assert sorted(targets) == sorted(f"/{LIBRARY}/{package}" for package in PACKAGES)
    (environment,) = arguments(file, "ENV")
    told = dict(pair.split("=", 1) for pair in environment.split())
    assert told["PYTHONPATH"] == f"/{LIBRARY}"
    assert told.items() >= jetson.ACCESS[jetson.DOCKER].environment.items()
    (entry,) = arguments(file, "ENTRYPOINT")
    assert entry == str(["python3", *ENTRYPOINT[1:]]).replace("'", '"')
    assert arguments(file, "USER") == ["10001:44"]


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.parent.name)
def test_pip_brings_what_the_runtime_needs_and_no_tensorrt(file: Path) -> None:
    (install,) = [rest for rest in arguments(file, "RUN") if " pip install" in rest]
    wanted = install.partition(f"--target /{LIBRARY}")[2].split()
    assert {tuple(wanted)} == {jetson.base(each).layered for each in of(file)}
    assert not [name for name in wanted if re.match(r"tensorrt|cuda|nvidia|cudnn", name)]


@pytest.mark.parametrize("profile", ["raspberry-pi-5", "raspberry-pi-4b"])
def test_cpu_recipe_is_as_composed_images_are(profile: str) -> None:
    system = profiles.load(profile).os
    file = DOCKER / f"cpu-{system.suite}/Containerfile"
    targets = dict(rest.split()[-2:] for rest in arguments(file, "COPY"))
    for package in PACKAGES:
        assert targets[f"src/{package}"] == f"/{LIBRARY}/{package}"
    (environment,) = arguments(file, "ENV")
    told = dict(pair.split("=", 1) for pair in environment.split())
    assert told["PYTHONPATH"] == f"/{LIBRARY}"
    (entry,) = arguments(file, "ENTRYPOINT")
    assert entry == str(["python3", *ENTRYPOINT[1:]]).replace("'", '"')
    assert arguments(file, "USER") == [account.user("onnxruntime")]
    (install,) = [rest for rest in arguments(file, "RUN") if " pip install" in rest]
    assert set(install.partition(f"--target /{LIBRARY}")[2].split()) == set(ALWAYS)
    assert f'yardarm.python="{system.python}"' in arguments(file, "LABEL")[0]


def test_what_the_toolchain_copies_is_there_and_is_not_ignored() -> None:
    kept = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for rest in arguments(DOCKER / "toolchain/Containerfile", "COPY"):
        for source in rest.split()[:-1]:
            assert (REPOSITORY / source).exists()
            assert f"!{source}" in kept


def test_every_recipe_is_told() -> None:
    readme = (DOCKER / "README.md").read_text()
    for file in ALL:
        assert f"| `{named(file)}` | `" in readme


def test_readme_tells_the_bases_and_the_access() -> None:
    readme = (DOCKER / "README.md").read_text()
    for each in RELEASES:
        found = jetson.base(each)
        assert f"`{found.recipe}` | `{found.repository}:" in readme
        assert found.tag in readme
    for access in jetson.ACCESS.values():
        assert f"`{' '.join(access.arguments)}`" in readme
        assert all(f"`{name}={value}`" in readme for name, value in access.environment.items())


@pytest.mark.parametrize("release", RELEASES, ids=lambda each: each.l4t[0])
def test_image_carries_tensorrt_of_its_base_and_onnxruntime_on_the_cpu(
    release: profiles.Release,
) -> None:
    carried = jetson.base(release).carries
    assert list(carried) == ["tensorrt", "onnxruntime"]
    assert release.tensorrt in carried["tensorrt"]
    assert "CPU" in carried["onnxruntime"]


def test_base_of_an_unknown_jetpack_is_refused() -> None:
    newest = max(RELEASES, key=lambda each: each.l4t)
    with pytest.raises(Unsupported, match=r"JetPack 9\.0"):
        jetson.base(newest.model_copy(update={"jetpack": "9.0"}))


@pytest.fixture
def check_base() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_base", DOCKER / "check_base.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failing(text: str) -> Any:
    def load(name: str) -> Any:
        raise ImportError(text)

    return load


@pytest.mark.parametrize(
    ("python", "there", "load", "says"),
    [
        ("", True, lambda name: SimpleNamespace(__version__="10.3.0"), ""),
        ("", True, lambda name: SimpleNamespace(__version__="10.30.1"), "has TensorRT 10.30.1"),
        ("", False, failing("none"), "no module tensorrt"),
        ("2.7", True, failing("none"), "this recipe is for 2.7"),
        ("", True, failing("libnvdla_compiler.so: cannot open shared object file"), ""),
        ("", True, failing("libnvinfer.so.10: file too short"), "import tensorrt fails"),
    ],
    ids=["good", "other-version", "missing", "other-python", "no-driver", "broken"],
)
def test_base_is_checked(
    check_base: ModuleType, python: str, there: bool, load: Any, says: str
) -> None:
    python = python or f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = check_base.problem(python, "10.3", find=lambda name: there or None, load=load)
    assert says in found
    assert bool(found) is bool(says)


def test_composing_refuses_and_names_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(Unsupported) as refused:
        compose(Spec(), profiles.load("jetson-orin-nx-16gb"), Store(tmp_path), lock=Lock())
    assert "docker/jetson-jp6/Containerfile" in refused.value.hint
    assert "r10.3.0-runtime" in refused.value.hint
    assert "tensorrt 10.3, cuda 12.6, cudnn 9.3" in refused.value.hint
