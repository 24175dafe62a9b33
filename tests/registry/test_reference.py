"""Names of images, as docker completes and refuses them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yardarm.digest import canonical_json
from yardarm.errors import InvalidInput, Unsupported
from yardarm.registry import Reference, manifests
from yardarm.registry.authentication import challenges

DIGEST = "sha256:" + "0123456789abcdef" * 4

READ = {
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
    *("debian", "debian:12", "ann/app"),  # no registry is taken for granted
    *("", "https://example.com/app", "example.com/App", "example.com/", "example.com/a//b"),
    *("app:", "example.com/app:-x", "example.com/app:" + "x" * 129, "example.com/_a"),
    *("exa mple.com/app", "example.com/app@sha256:12", "example.com/app@md5:" + "0" * 32),
    *("example.com/" + "a" * 256, "example.com:port/app", "example.com/a\n", "-a.b/c", "../x"),
]


@pytest.mark.parametrize(("text", "whole"), READ.items())
def test_names_are_read_as_docker_does(text: str, whole: str) -> None:
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


@settings(max_examples=150, deadline=None)
@given(st.text("aA0.:/@-_[]~\u00e9\n", max_size=30) | st.text(max_size=20))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        found = Reference.parse(text)
        assert Reference.parse(str(found)) == found
        assert not {*"\n?#% "} & {*f"{found.registry}/{found.repository}/{found.name}"}


@settings(max_examples=150, deadline=None)
@given(st.text('Bb asic earer,="\\\\realmscope', max_size=60))
def test_any_challenge_is_read(header: str) -> None:
    assert all(offer.scheme in ("basic", "bearer") for offer in challenges(header))


PIECES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(PIECES | st.fixed_dictionaries({"config": PIECES, "layers": PIECES, "manifests": PIECES}))
def test_any_json_is_a_manifest_or_refused(body: object) -> None:
    for kind in (*manifests.INDEXES, *manifests.IMAGES, ""):
        with suppress(InvalidInput, Unsupported):
            found = manifests.read(canonical_json(body), kind, "here")
            assert found.entries == [] if found.is_index else found.config.size >= 0
