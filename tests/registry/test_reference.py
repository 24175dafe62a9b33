"""Names of images, as docker completes and refuses them."""

from __future__ import annotations

import pytest

from yardarm.errors import InvalidInput
from yardarm.registry import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4

READ = {
    "debian": "docker.io/library/debian:latest",
    "ann/app": "docker.io/ann/app:latest",
    "docker.io/debian:12": "docker.io/library/debian:12",
    "index.docker.io/ann/app": "docker.io/ann/app:latest",
    "localhost/app": "localhost/app:latest",
    "localhost:5000/a/b/c:v1.0": "localhost:5000/a/b/c:v1.0",
    "a:5000/app": "a:5000/app:latest",
    "example.com/app": "example.com/app:latest",
    "[::1]:5000/app:x": "[::1]:5000/app:x",
    "Host/app": "Host/app:latest",
    "example.com/a__b/c-d.e:T_1": "example.com/a__b/c-d.e:T_1",
    f"example.com/app@{DIGEST}": f"example.com/app@{DIGEST}",
    f"example.com/app:1@{DIGEST}": f"example.com/app:1@{DIGEST}",
}
WRONG = [
    *("", "https://example.com/app", "example.com/App", "example.com/", "example.com/a//b"),
    *("app:", "example.com/app:-x", "example.com/app:" + "x" * 129, "example.com/_a"),
    *("exa mple.com/app", "example.com/app@sha256:12", "example.com/app@md5:" + "0" * 32),
    *("example.com/" + "a" * 256, "example.com:port/app", "example.com/a\n", "-a.b/c", "../x"),
]


@pytest.mark.parametrize(("text", "whole"), READ.items())
def test_names_are_completed_as_docker_does(text: str, whole: str) -> None:
    assert str(Reference.parse(text)) == whole
    assert str(Reference.parse(whole)) == whole


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Reference.parse(text)
    assert caught.value.where == text
    assert caught.value.hint


def test_a_digest_counts_more_than_a_tag() -> None:
    assert Reference.parse(f"example.com/app:1@{DIGEST}").name == DIGEST
    assert Reference.parse("example.com/app:1").name == "1"


def test_the_hub_answers_at_another_address() -> None:
    assert Reference.parse("debian").host == "registry-1.docker.io"
    assert Reference.parse("a.b:5000/debian").host == "a.b:5000"
