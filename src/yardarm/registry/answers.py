"""What a registry answers, as errors that a user can act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from yardarm.errors import InvalidInput, Unreachable, YardarmError
from yardarm.registry.credentials import LOGIN

LONGEST_ERROR = 64 << 10
"""Bytes of an error's body that are looked at."""


def problem(
    status: int, headers: Mapping[str, str], body: bytes, *, where: str, registry: str, missing: str
) -> YardarmError:
    """The error that a refused request is.

    Args:
        where: what was asked for, such as the image's name.
        missing: what it means that it isn't there.
    """
    said = reason(body)
    if status in (401, 403):
        return InvalidInput(
            f"the registry does not let us: {said or f'HTTP {status}'}",
            where=where,
            hint=f"check the name and who may use it; {LOGIN.format(registry)}",
        )
    if status == 404:
        return InvalidInput(missing, where=where, hint=said or "check the name")
    if status == 429:
        wait = retry_after(headers)
        hint = f"it asks to wait {wait:.0f} s" if wait else "wait, or log in for a higher limit"
        return Unreachable("the registry has had too many requests from us", where=where, hint=hint)
    if status >= 500:
        return Unreachable(f"the registry fails: HTTP {status}", where=where, hint=said)
    return YardarmError(f"the registry refuses: HTTP {status}", where=where, hint=said)


def reason(body: bytes) -> str:
    """The registry's own words. Source: OCI Distribution Specification 1.1, "Error Codes"."""
    try:
        errors = json.loads(body)["errors"]
        words = [f"{item['code']}: {item.get('message') or ''}".rstrip(": ") for item in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "; ".join(words[:4])[:400]


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date (RFC 9110)."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
