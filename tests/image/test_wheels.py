"""The wheels layer, with uv itself and an index of our own: a folder of tiny wheels."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wheel_index import ANY, X86, wheel
from yardarm import profiles
from yardarm.errors import InvalidInput, Unreachable, Unsupported, VerificationFailed
from yardarm.image import resolving, wheels
from yardarm.image.requirements import ALWAYS, Excluded, Request, locked, request
from yardarm.image.resolving import resolve
from yardarm.lockfile import Lock, Pinned, Wheels
from yardarm.store import Store


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


def made(wanted: Request, store: Store) -> dict[str, Any]:
    return wheels.make(wanted, resolve(wanted), store)


def asked(*requirements: str, constraints: tuple[str, ...] = ()) -> Request:
    return Request(requirements, constraints, "3.11", "aarch64-manylinux_2_36")


def bad(name: str) -> Request:
    return replace(asked(name), excluded=(Excluded(name, "1.0", "dies"),))


def test_what_is_installed_and_what_is_left_out(index: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    record = made(asked("tiny"), store)

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
        os, "sync", lambda: complete.append(any(own_cache.glob("**/wheels/[!.]*/record.json")))
    )
    made(asked("tiny"), Store(tmp_path / "store"))
    assert complete == [False]


def test_another_cache_gives_the_same_layer(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(asked("tiny"), Store(tmp_path / "one"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other/cache"))

    assert made(asked("tiny"), Store(tmp_path / "two")) == first


def test_a_warm_cache_needs_no_index(index: Path, tmp_path: Path) -> None:
    wanted = asked("tiny")
    pinned = resolve(wanted)
    wheels.fetch(wanted, pinned)
    shutil.rmtree(index)

    assert wheels.make(wanted, pinned, Store(tmp_path))["contents"] == {"tiny": "1.0"}


def test_pins_are_names_versions_and_hashes(index: Path) -> None:
    file = index / f"needy2-1.0-{ANY}.whl"
    wheel(index, "needy2", ANY, "Requires-Dist: tiny\n")
    data = file.read_bytes()

    needy, tiny = resolve(asked("needy2"))

    assert needy == Pinned("needy2", "1.0", file.name, hashlib.sha256(data).hexdigest(), len(data))
    assert tiny.name == "tiny"


PAIRS = [
    ("cp311-cp311-manylinux_2_17_aarch64", "py3-none-any"),
    ("cp311-cp311-manylinux_2_28_aarch64", "cp311-cp311-manylinux_2_17_aarch64"),
    ("cp311-cp311-manylinux2014_aarch64", "cp36-abi3-manylinux_2_34_aarch64"),
    ("cp36-abi3-manylinux_2_17_aarch64", "py3-none-manylinux_2_36_aarch64"),
    ("cp39-abi3-manylinux_2_17_aarch64", "cp36-abi3-manylinux_2_36_aarch64"),
    ("py311-none-any", "py3-none-any"),
    ("py3-none-manylinux_2_17_aarch64", "py311-none-any"),
    ("cp311-none-any", "py3-none-manylinux_2_17_aarch64"),
    ("cp311-cp311-linux_aarch64", "cp311-abi3-manylinux_2_17_aarch64"),
]


def test_the_wheel_that_is_pinned_is_the_one_that_uv_takes(index: Path, tmp_path: Path) -> None:
    """Without hashes uv chooses by itself: an index without them would fail otherwise."""
    for number, pair in enumerate(PAIRS):
        for tag in pair:
            wheel(index, f"pair{number}", tag)
    wanted = asked(*(f"pair{number}" for number in range(len(PAIRS))))
    pinned = resolve(wanted)
    lines = [f"{each.name}=={each.version}\n" for each in pinned]
    (tmp_path / "requirements.txt").write_text("".join(lines))
    argv = [each for each in wheels.command(wanted) if each != "--require-hashes"]

    resolving.run(argv, tmp_path, wanted)

    taken = [info.read_text() for info in sorted((tmp_path / "lib").glob("*.dist-info/WHEEL"))]
    assert [
        f"Tag: {each.file.split('-', 2)[2][:-4]}" in text
        for each, text in zip(pinned, taken, strict=True)
    ] == [True] * len(PAIRS)


def test_newer_versions_change_nothing_that_is_pinned(index: Path, tmp_path: Path) -> None:
    wanted = asked("tiny")
    pinned = resolve(wanted)
    wheel(index, "tiny", ANY, version="2.0")

    record = wheels.make(wanted, pinned, Store(tmp_path))

    assert record["contents"] == {"tiny": "1.0"}
    assert [each.version for each in resolve(wanted)] == ["2.0"]


def test_another_file_under_a_pinned_name(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = asked("tiny")
    pinned = resolve(wanted)
    wheel(index, "tiny", ANY, more={"tiny/evil.py": ""})
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another"))

    with pytest.raises(VerificationFailed, match="not the one that was locked"):
        wheels.make(wanted, pinned, Store(tmp_path))


def test_a_pinned_wheel_that_is_gone(index: Path, tmp_path: Path) -> None:
    wanted = asked("tiny")
    pinned = resolve(wanted)
    (index / f"tiny-1.0-{ANY}.whl").unlink()

    with pytest.raises(Unsupported, match="tiny"):
        wheels.make(wanted, pinned, Store(tmp_path))


def test_weights_and_what_was_left_out(index: Path, tmp_path: Path) -> None:
    texts = {"heavy/data.bin": "x" * 1000, "heavy/tests/data.bin": "x" * 10}
    wheel(index, "heavy", ANY, more=texts)
    wanted = asked("heavy")
    pinned = resolve(wanted)

    slim = wheels.make(wanted, pinned, Store(tmp_path))
    whole = wheels.make(wanted, pinned, Store(tmp_path), keep=["*/heavy/tests/*"])

    assert whole["weights"]["heavy"] - slim["weights"]["heavy"] == 10
    assert slim["weights"]["heavy"] > 1000
    assert slim["left_out"]["heavy: tests"] == 10
    assert "heavy: tests" not in whole["left_out"]


@pytest.mark.parametrize(
    ("requirement", "named"),
    [("absent>=2", "absent>=2"), ("desktop", "desktop"), ("needy", "needy")],
    ids=["absent", "no aarch64 wheel", "a dependency has none"],
)
def test_no_way_names_the_requirement_and_leaves_nothing(
    index: Path, tmp_path: Path, own_cache: Path, requirement: str, named: str
) -> None:
    with pytest.raises(Unsupported, match=f"no way onto the device for {named}$") as raised:
        made(asked("tiny", requirement), Store(tmp_path / "store"))

    assert raised.value.exit_code == 10
    assert requirement.partition(">")[0] in raised.value.hint
    assert "constraints.txt" not in raised.value.hint
    assert not (own_cache / "wheels").exists()
    assert not (tmp_path / "store").exists()


def lock(wanted: Request, *pinned: Pinned) -> Lock:
    return Lock({}, {wanted.target: Wheels(wanted.requirements, pinned)})


def pin(name: str, version: str) -> Pinned:
    return Pinned(name, version, f"{name}-{version}-{ANY}.whl", "a" * 64, 1)


TINY = pin("tiny", "1.0")
NEVER = 'never; python_version < "3"'


def test_a_lock_that_matches() -> None:
    assert locked(lock(asked("tiny"), TINY), asked("tiny")) == (TINY,)
    assert locked(lock(asked("Tiny", NEVER), TINY), asked("Tiny", NEVER)) == (TINY,)
    assert locked(Lock(), asked("tiny")) is None


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (asked("tiny", "more>=2"), "more>=2 is new"),
        (asked(), "tiny is no longer asked for"),
        (asked("tiny<2"), "tiny<2 was tiny"),
        (asked("tiny", "tiny<2"), "tiny and tiny<2 was tiny"),
        (asked("tiny", constraints=("tiny<1",)), "tiny 1.0 is outside the constraint tiny<1"),
        (bad("tiny"), "tiny 1.0 is known bad: dies"),
    ],
)
def test_a_lock_for_something_else_says_what_changed(wanted: Request, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        locked(lock(asked("tiny"), TINY), wanted)

    assert raised.value.what == f"the lock no longer matches the project: {said}"
    assert "yardarm wheels --lock" in raised.value.hint


def test_a_lock_that_lacks_a_requirement() -> None:
    with pytest.raises(InvalidInput, match="tiny is not pinned"):
        locked(lock(asked("tiny")), asked("tiny"))


def test_device_classes_with_the_same_target_share_a_lock(pi5) -> None:
    """What one of them can't run only counts where it is pinned."""
    pi4 = profiles.load("raspberry-pi-4b")
    shared = lock(request((), pi5), *(pin(name, "1.22") for name in ALWAYS))

    assert locked(shared, request((), pi4)) == locked(shared, request((), pi5))


@pytest.mark.parametrize(
    ("jetpack", "target"),
    [("6.2", "cp310-aarch64-manylinux_2_35"), ("5.1", "cp38-aarch64-manylinux_2_31")],
)
def test_a_jetson_has_the_system_of_its_jetpack(jetpack: str, target: str) -> None:
    orin = profiles.load("jetson-orin-nano-8gb")

    wanted = request(["pillow"], orin, jetpack=jetpack)

    assert wanted.target == target
    assert wanted.requirements[0].startswith("numpy==1.2")


def test_constraints_hold(index: Path, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="tiny"):
        made(asked("tiny", constraints=("tiny!=1.0",)), Store(tmp_path))


def test_the_index_out_of_reach(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))

    with pytest.raises(Unreachable, match="index") as raised:
        resolve(asked("psutil"))

    assert "network" in raised.value.hint


def test_the_request_of_a_profile(pi5) -> None:
    runtime = pi5.runtime.model_copy(update={"exclude": ("onnxruntime==1.21.0; dies on the A72",)})
    profile = pi5.model_copy(update={"runtime": runtime})

    assert request(["pillow>=10", "numpy<3"], profile) == Request(
        ("numpy<3", "onnxruntime", "pillow>=10", "psutil", "waitress"),
        (),
        "3.11",
        "aarch64-manylinux_2_36",
        (Excluded("onnxruntime", "1.21.0", "dies on the A72"),),
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

    record = made(asked("onnxruntime"), store)

    assert record["contents"] == {"onnxruntime": "1.0"}
    with tarfile.open(store.path(record["blob"]["digest"])) as archive:
        assert (f"opt/yardarm/lib/{library}" in archive.getnames()) is loaded
