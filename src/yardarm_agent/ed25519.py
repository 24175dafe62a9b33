"""Ed25519 signatures, verification only (RFC 8032, section 5.1.7).

Nothing here is secret, so nothing needs constant time. A signature whose S is not below
the group's order, or whose point is not encoded canonically, is refused (section 8.4). So
is a key of small order, with which anybody can sign anything.
"""

from __future__ import annotations

import hashlib
from typing import Tuple

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = Tuple[int, int, int, int]
"""Extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z."""


def _add(a: Point, b: Point) -> Point:
    left = (a[1] - a[0]) * (b[1] - b[0]) % P
    right = (a[1] + a[0]) * (b[1] + b[0]) % P
    cross = 2 * a[3] * b[3] * D % P
    depth = 2 * a[2] * b[2] % P
    e, f, g, h = right - left, depth - cross, depth + cross, right + left
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _multiply(scalar: int, point: Point) -> Point:
    total = NEUTRAL
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _equal(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def _decode(data: bytes) -> "Point | None":
    """The point that 32 bytes encode; None when they encode none, or not canonically."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


_BASE_Y = 4 * pow(5, P - 2, P) % P
_decoded = _decode(_BASE_Y.to_bytes(32, "little"))
assert _decoded is not None
BASE: Point = _decoded
NEUTRAL: Point = (0, 1, 1, 0)
COFACTOR = 8


def _small(key: Point) -> bool:
    """Whether the point's order divides the cofactor."""
    return _equal(_multiply(COFACTOR, key), NEUTRAL)


def usable(public: bytes) -> bool:
    """Whether these 32 bytes are a key that `verify` could ever accept."""
    key = _decode(public) if len(public) == 32 else None
    return key is not None and not _small(key)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` was made with the key `public` (32)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, point = _decode(public), _decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or point is None or scalar >= ORDER or _small(key):
        return False
    hashed = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(hashed, "little") % ORDER
    return _equal(_multiply(scalar, BASE), _add(point, _multiply(challenge, key)))
