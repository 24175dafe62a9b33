"""The wheels layer, with uv itself and an index of our own: a folder of tiny wheels."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from yardarm.errors import InvalidInput, Unsupported
from yardarm.events import silent
from yardarm.image import wheels
from yardarm.image.requirements import Request, request
from yardarm.store import Store

ANY = "py3-none-any"
X86 = "py3-none-manylinux_2_17_x86_64"


def wheel(
    folder: Path,
    name: str,
    tag: str,
    requires: str = "",
    more: Mapping[str, str] = MappingProxyType({}),
) -> None:
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": "",
        f"{name}/tests/test_it.py": "",
        f"{name}/tests/_helper.py": "",
        f"{name}-1.0.data/scripts/{name}-tool": "#!python\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/RECORD": "",
        **more,
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    wheel(folder, "tiny", ANY)
    wheel(folder, "desktop", X86)
    wheel(folder, "needy", ANY, "Requires-Dist: desktop\n")
    settings = tmp_path / "uv.toml"
    settings.write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


def asked(*requirements: str, constraints: tuple[str, ...] = ()) -> Request:
    return Request(requirements, constraints, "3.11", "aarch64-manylinux_2_36")


def test_what_is_installed_and_what_is_left_out(index: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    record = wheels.make(asked("tiny"), store, silent)

    assert record["contents"] == {"tiny": "1.0"}
    with tarfile.open(store.path(record["blob"]["digest"])) as archive:
        assert [member.name for member in archive if member.isfile()] == [
            "opt/yardarm/lib/tiny/__init__.py",
            "opt/yardarm/lib/tiny/tests/_helper.py",
            "opt/yardarm/lib/tiny-1.0.dist-info/METADATA",
            "opt/yardarm/lib/tiny-1.0.dist-info/WHEEL",
        ]


def test_the_cache_is_on_disk_before_it_counts(
    index: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut must leave no torn layer that a later run takes for whole."""
    complete: list[bool] = []
    monkeypatch.setattr(
        os, "sync", lambda: complete.append(any(own_cache.glob("**/wheels/[!.]*/contents.json")))
    )
    wheels.make(asked("tiny"), Store(tmp_path / "store"), silent)
    assert complete == [False]


def test_another_cache_gives_the_same_layer(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wheels.make(asked("tiny"), Store(tmp_path / "one"), silent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other/cache"))

    assert wheels.make(asked("tiny"), Store(tmp_path / "two"), silent) == first


def test_a_warm_cache_needs_no_index(index: Path, tmp_path: Path) -> None:
    first = wheels.make(asked("tiny"), Store(tmp_path / "one"), silent)
    for file in index.iterdir():
        file.unlink()

    assert wheels.make(asked("tiny"), Store(tmp_path / "two"), silent) == first


@pytest.mark.parametrize(
    ("requirement", "named"),
    [("absent>=2", "absent>=2"), ("desktop", "desktop"), ("needy", "needy")],
    ids=["absent", "no aarch64 wheel", "a dependency has none"],
)
def test_no_way_names_the_requirement_and_leaves_nothing(
    index: Path, tmp_path: Path, own_cache: Path, requirement: str, named: str
) -> None:
    with pytest.raises(Unsupported, match=f"no way onto the device for {named}$") as raised:
        wheels.make(asked("tiny", requirement), Store(tmp_path / "store"), silent)

    assert raised.value.exit_code == 10
    assert requirement.partition(">")[0] in raised.value.hint
    assert "constraints.txt" not in raised.value.hint
    assert [file.suffix for file in (own_cache / "wheels").iterdir()] == [".lock"]
    assert not (tmp_path / "store").exists()


def test_constraints_hold(index: Path, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="tiny"):
        wheels.make(asked("tiny", constraints=("tiny!=1.0",)), Store(tmp_path), silent)


def test_the_index_out_of_reach(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))

    with pytest.raises(Unsupported, match="psutil") as raised:
        wheels.make(asked("psutil"), Store(tmp_path / "store"), silent)

    assert "network" in raised.value.hint


def test_the_request_of_a_profile(pi5) -> None:
    runtime = pi5.runtime.model_copy(update={"exclude": ("onnxruntime==1.21.0; dies on the A72",)})
    profile = pi5.model_copy(update={"runtime": runtime})

    assert request(["pillow>=10", "numpy<3"], profile) == Request(
        ("numpy<3", "onnxruntime", "pillow>=10", "psutil", "waitress"),
        ("onnxruntime!=1.21.0",),
        "3.11",
        "aarch64-manylinux_2_36",
    )


@pytest.mark.parametrize(
    ("glibc", "platform"),
    [("2.36", "2_36"), ("2.31", "2_31"), ("2.29", "2_28"), ("2.41", "2_40"), ("2.27", "2_17")],
)
def test_the_newest_platform_that_the_glibc_has(pi5, glibc: str, platform: str) -> None:
    profile = pi5.model_copy(update={"os": pi5.os.model_copy(update={"glibc": glibc})})

    assert request((), profile).platform == f"aarch64-manylinux_{platform}"


def test_a_glibc_older_than_all_wheels(pi5) -> None:
    profile = pi5.model_copy(update={"os": pi5.os.model_copy(update={"glibc": "2.12"})})

    with pytest.raises(Unsupported, match=r"glibc 2\.12"):
        request((), profile)


@pytest.mark.parametrize(
    "text",
    ["./here", "-r more.txt", "--index-url=x", "a @ file:///x.whl", "", "git+ssh://x", "a/b"],
)
def test_only_names_are_requirements(pi5, text: str) -> None:
    with pytest.raises(InvalidInput, match="not the name of a package"):
        request([text], pi5)


@pytest.mark.parametrize("text", ["a", "a[b,c]>=1,<2", 'a; python_version < "3.12"', "A.b_c==1.*"])
def test_names_with_versions_extras_and_markers(pi5, text: str) -> None:
    assert text in request([text], pi5).requirements


def test_an_exclusion_that_is_not_one_version(pi5) -> None:
    runtime = pi5.runtime.model_copy(update={"exclude": ("onnxruntime>1",)})

    with pytest.raises(InvalidInput, match="onnxruntime>1"):
        request((), pi5.model_copy(update={"runtime": runtime}))


@pytest.mark.parametrize("loaded", [True, False])
def test_the_c_library_goes_only_where_nothing_loads_it(
    tmp_path: Path, index: Path, loaded: bool
) -> None:
    library = "onnxruntime/capi/libonnxruntime.so.1.0"
    text = "needs libonnxruntime.so.1" if loaded else "needs libonnxruntime_providers_shared.so"
    wheel(index, "onnxruntime", ANY, more={"onnxruntime/capi/state.so": text, library: ""})
    store = Store(tmp_path / "store")

    record = wheels.make(asked("onnxruntime"), store, silent)

    assert record["contents"] == {"onnxruntime": "1.0"}
    with tarfile.open(store.path(record["blob"]["digest"])) as archive:
        assert (f"opt/yardarm/lib/{library}" in archive.getnames()) is loaded
