"""The agent's verifier against the standard's vectors and against `cryptography`."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from yardarm_agent import ed25519

SEEDS = st.binary(min_size=32, max_size=32)

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def keys(seed: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def encode(point: ed25519.Point) -> bytes:
    inverse = pow(point[2], ed25519.P - 2, ed25519.P)
    x, y = point[0] * inverse % ed25519.P, point[1] * inverse % ed25519.P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def small_points() -> list[bytes]:
    """The eight points whose order divides eight, from one of order eight."""
    for y in range(2, 100):
        point = ed25519._decode(y.to_bytes(32, "little"))
        if point is None:
            continue
        generator = ed25519._multiply(ed25519.ORDER, point)
        found = {encode(ed25519._multiply(times, generator)) for times in range(8)}
        if len(found) == 8:
            return sorted(found)
    raise AssertionError


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_vectors_of_the_standard(public: str, message: str, signature: str) -> None:
    parts = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519.verify(*parts)
    assert not ed25519.verify(parts[0], parts[1] + b"x", parts[2])


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.binary(max_size=200))
def test_what_others_sign_is_accepted(seed: bytes, message: bytes) -> None:
    private, public = keys(seed)
    assert ed25519.usable(public)
    assert ed25519.verify(public, message, private.sign(message))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.binary(max_size=50), st.integers(0, 511), st.sampled_from(["key", "signature"]))
def test_one_flipped_bit_is_judged_as_others_do(
    seed: bytes, message: bytes, bit: int, which: str
) -> None:
    private, public = keys(seed)
    signature = private.sign(message)
    if which == "key":
        bit %= 256
        public = (int.from_bytes(public, "little") ^ 1 << bit).to_bytes(32, "little")
    else:
        signature = (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        assert not ed25519.verify(public, message, signature)
    else:
        assert ed25519.verify(public, message, signature)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.binary(max_size=50), st.integers(1, 15))
def test_a_signature_has_no_second_form(seed: bytes, message: bytes, times: int) -> None:
    """S + L satisfies the equation as well as S does."""
    private, public = keys(seed)
    signature = private.sign(message)
    scalar = int.from_bytes(signature[32:], "little") + times * ed25519.ORDER
    if scalar < 1 << 256:
        assert not ed25519.verify(public, message, signature[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize("y", [ed25519.P, ed25519.P + 1, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_a_point_that_is_not_encoded_canonically_is_refused(y: int, sign: int) -> None:
    assert ed25519._decode((y | sign).to_bytes(32, "little")) is None


def test_minus_zero_is_refused() -> None:
    assert ed25519._decode((1 | 1 << 255).to_bytes(32, "little")) is None
    assert ed25519._decode((1).to_bytes(32, "little")) is not None


def test_keys_of_small_order_sign_nothing() -> None:
    """With S = 0, R of small order and such a key the equation holds for one in eight
    messages or better, without any secret."""
    points = small_points()
    assert len(points) == 8
    for public in points:
        assert not ed25519.usable(public)
        for commitment in points:
            for message in (b"a", b"b", b"c"):
                assert not ed25519.verify(public, message, commitment + bytes(32))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    _public, message, signature = (bytes.fromhex(part) for part in VECTORS[1])
    assert not ed25519.verify(bytes(size), message, signature)
    assert not ed25519.usable(bytes(size))


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    public, message, signature = (bytes.fromhex(part) for part in VECTORS[1])
    assert not ed25519.verify(public, message, (signature + b"\0")[:size])
