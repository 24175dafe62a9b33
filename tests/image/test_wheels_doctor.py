"""What the wheel doctor decides, on pages of indexes written by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from yardarm.image import jetson, tags
from yardarm.image.doctor import judging, routes, simple
from yardarm.image.doctor.judging import Reason, newest, newest_usable, releases
from yardarm.image.doctor.simple import File
from yardarm.image.doctor.walking import Ask, Package
from yardarm.image.requirements import Excluded, Request

PAGE = "http://index.invalid/simple/pkg/"
WANTED = Request(("pkg",), (), "3.11", "aarch64-manylinux_2_36")


def files(*names: str, python: str = "", yanked: str | None = None) -> tuple[File, ...]:
    body = json.dumps({"files": [{"filename": name, "url": name} for name in names]}).encode()
    found = simple.parse(body, "application/json", PAGE, "pkg")
    assert len(found) == len(names)
    return tuple(
        File(file.name, file.url, file.version, python=python, yanked=yanked) for file in found
    )


def why(*names: str, **more: str) -> tuple[str, str]:
    (found,) = releases(files(*names, **more), WANTED)
    assert found.wheel is None and found.reason is not None
    return found.reason.kind, found.reason.text


REASONS: list[tuple[tuple[str, ...], Mapping[str, str], str, str]] = [
    (
        ("pkg-1-cp311-cp311-manylinux_2_17_x86_64.whl", "pkg-1-cp311-cp311-win_amd64.whl"),
        {},
        judging.ARCHITECTURE,
        "there is no aarch64 wheel, only for Windows, x86_64 Linux",
    ),
    (
        ("pkg-1-cp311-cp311-macosx_11_0_arm64.whl", "pkg-1.tar.gz"),
        {},
        judging.ARCHITECTURE,
        "there is no aarch64 wheel, only for macOS, and an sdist, which would have to be built",
    ),
    (
        ("pkg-1-cp311-cp311-musllinux_1_2_aarch64.whl",),
        {},
        judging.ARCHITECTURE,
        "there is no aarch64 wheel, only for aarch64 musl Linux",
    ),
    (
        ("pkg-1-cp311-cp311-manylinux_2_39_aarch64.whl",),
        {},
        judging.GLIBC,
        "it needs glibc 2.39; the target has 2.36",
    ),
    (
        (
            "pkg-1-cp312-cp312-manylinux_2_17_aarch64.whl",
            "pkg-1-cp313-cp313t-manylinux_2_17_aarch64.whl",
        ),
        {},
        judging.PYTHON,
        "its aarch64 wheels are for CPython 3.12, CPython 3.13 without a GIL; the target has 3.11",
    ),
    (
        ("pkg-1-py3-none-any.whl",),
        {"python": ">=3.12"},
        judging.PYTHON,
        "it needs Python >=3.12; the target has 3.11",
    ),
    (
        ("pkg-1.tar.gz",),
        {},
        judging.SOURCE,
        "there is only an sdist, which would have to be built",
    ),
    (
        ("pkg-1-py3-none-any.whl",),
        {"yanked": "eats data"},
        judging.YANKED,
        "it was withdrawn: eats data",
    ),
]


@pytest.mark.parametrize(("names", "more", "kind", "text"), REASONS, ids=[r[2] for r in REASONS])
def test_why_a_version_will_not_do(
    names: tuple[str, ...], more: Mapping[str, str], kind: str, text: str
) -> None:
    assert why(*names, **more) == (kind, text)


@pytest.mark.parametrize(
    ("best", "other"),
    [
        ("cp311-cp311-manylinux_2_17_aarch64", "py3-none-any"),
        ("cp311-cp311-manylinux_2_28_aarch64", "cp311-cp311-manylinux_2_17_aarch64"),
        ("cp311-cp311-manylinux2014_aarch64", "cp36-abi3-manylinux_2_34_aarch64"),
        ("cp36-abi3-manylinux_2_17_aarch64", "py3-none-manylinux_2_36_aarch64"),
        ("py3-none-any", "cp311-cp311-manylinux_2_17_x86_64"),
        ("py2.py3-none-any", "cp311-cp311-manylinux_2_39_aarch64"),
    ],
)
def test_which_wheel_is_taken(best: str, other: str) -> None:
    names = [f"pkg-1-{tag}.whl" for tag in (other, best)]

    assert tags.best(names, "3.11", "aarch64-manylinux_2_36") == f"pkg-1-{best}.whl"


def test_of_two_builds_the_later() -> None:
    names = [f"pkg-1-{build}-py3-none-any.whl" for build in ("2", "10")]

    assert tags.best(names, "3.11", "aarch64-manylinux_2_36") == names[1]


def test_versions_that_are_known_bad_are_passed_over_with_their_reason() -> None:
    wanted = Request(
        *(("pkg",), (), "3.11", "aarch64-manylinux_2_36"), (Excluded("Pkg", "2", "dies"),)
    )
    found = releases(files("pkg-2-py3-none-any.whl", "pkg-1-py3-none-any.whl"), wanted)

    reason = Reason(judging.EXCLUDED, "2 is known bad on this device: dies")
    assert [(each.wheel is None, each.reason) for each in found] == [(True, reason), (False, None)]


def test_newest_and_newest_usable() -> None:
    found = releases(
        files(
            *("pkg-3.0rc1-py3-none-any.whl", "pkg-2.1-cp311-cp311-win_amd64.whl"),
            *("pkg-2.0-py3-none-any.whl", "pkg-1.0-py3-none-any.whl"),
        ),
        WANTED,
    )

    def said(bounds: str) -> tuple[str, str]:
        both = newest(found, SpecifierSet(bounds)), newest_usable(found, SpecifierSet(bounds))
        return tuple(str(each.version) if each else "none" for each in both)  # type: ignore[return-value]

    assert said("") == ("2.1", "2.0")
    assert said("<2") == ("1.0", "1.0")
    assert said(">2.0,<3") == ("2.1", "none")
    assert said(">=3.0rc1") == ("3.0rc1", "3.0rc1")
    assert said(">=4") == ("none", "none")


JSON = {
    "files": [
        {
            "filename": "Pkg-1.0-py3-none-any.whl",
            "url": "../../files/Pkg-1.0-py3-none-any.whl#sha256=aa",
            "size": 12,
            "requires-python": ">=3.8",
            "yanked": "broken",
            "core-metadata": {"sha256": "bb"},
        },
        {"filename": "pkg-1.0.tar.gz", "url": "http://files.invalid/pkg-1.0.tar.gz"},
        {"filename": "pkg-1.0-py2.7.egg", "url": "pkg-1.0-py2.7.egg"},
        {"filename": "other-1.0.tar.gz", "url": "other-1.0.tar.gz"},
    ]
}
HTML = """<html><body>
<a href="../../files/Pkg-1.0-py3-none-any.whl#sha256=aa" data-requires-python="&gt;=3.8"
   data-yanked="broken" data-core-metadata="sha256=bb">Pkg</a><br/>
<a href="http://files.invalid/pkg-1.0.tar.gz">pkg-1.0.tar.gz</a>
<a href="pkg-1.0-py2.7.egg">egg</a> <a name="here">no link</a> <a href="other-1.0.tar.gz">o</a>
"""


@pytest.mark.parametrize(
    ("body", "media_type", "size"),
    [(json.dumps(JSON), "application/vnd.pypi.simple.v1+json", 12), (HTML, "text/html", None)],
    ids=["json", "html"],
)
def test_both_forms_of_a_page_say_the_same(body: str, media_type: str, size: int | None) -> None:
    wheel, source = simple.parse(body.encode(), media_type, PAGE, "pkg")

    assert wheel == File(
        "Pkg-1.0-py3-none-any.whl",
        "http://index.invalid/files/Pkg-1.0-py3-none-any.whl",
        Version("1.0"),
        size=size,
        python=">=3.8",
        yanked="broken",
        metadata=True,
    )
    assert source == File("pkg-1.0.tar.gz", "http://files.invalid/pkg-1.0.tar.gz", Version("1.0"))


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b'{"files": 3}'])
def test_an_answer_that_is_no_page(body: bytes) -> None:
    with pytest.raises(ValueError):
        simple.parse(body, "application/json", PAGE, "pkg")


def package(name: str, by: str = "") -> Package:
    asks = (Ask(Requirement(f"{name}>=2"), by),)
    return Package(name, asks, (), (), None)


def told(name: str, kind: str, usable: str | None = None, base: jetson.Base | None = None) -> str:
    version = Version(usable) if usable else None
    instead = {"other": Version("3")} if name == "onnxruntime-gpu" else {}
    reason = Reason(kind, "")
    return "; ".join(
        routes.routes(package(name), reason, WANTED, usable=version, instead=instead, base=base)
    )


def test_routes(orin: jetson.Base) -> None:
    assert told("pkg", judging.GLIBC, "1.5") == "pkg==1.5 is the newest that the target takes"
    assert told("pkg", judging.SOURCE).startswith("build a wheel for aarch64 and Python 3.11")
    assert told("pkg", judging.MISSING) == ""
    assert told("onnxruntime-gpu", judging.ARCHITECTURE) == "other 3 does its work"
    jetsons = told("onnxruntime-gpu", judging.ARCHITECTURE, base=orin)
    assert "onnxruntime==1.23.2" in jetsons and "docker/jetson-jp6/Containerfile" in jetsons
    assert "TensorRT 10.3" in told("tensorrt", judging.SOURCE, base=orin)


def test_what_is_made_for_gpus(orin: jetson.Base) -> None:
    assert routes.variant("numpy", None) is None
    for name in ("onnxruntime-gpu", "tensorrt-cu13-libs", "nvidia-cublas-cu12", "cupy-cuda12x"):
        lacking, jetsons = routes.variant(name, None), routes.variant(name, orin)
        assert lacking and lacking.kind == judging.VARIANT and "has none" in lacking.text
        assert jetsons and "the base's" in jetsons.text


def test_the_docs_explain_every_kind_of_reason() -> None:
    page = Path(__file__).parents[2] / "docs" / "project-file.md"
    assert set(re.findall(r"^- `(\w+)`: ", page.read_text(), re.MULTILINE)) >= {*judging.KINDS}


@pytest.fixture
def orin() -> jetson.Base:
    from yardarm import profiles

    return jetson.base(profiles.release_for(profiles.load("jetson-orin-nano-8gb")))
