"""A registry's challenge answered: with name and password, or with a token that they buy.

Source: RFC 7235, and the distribution project's "Token Authentication Specification".
"""

from __future__ import annotations

import ipaddress
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from yardarm.errors import InvalidInput, VerificationFailed, YardarmError
from yardarm.registry.credentials import LOGIN, Credentials

CLIENT = "yardarm"
Scopes = tuple[str, ...]
"""Rights that are asked for, such as "repository:name:pull,push"."""

_SCHEME = re.compile(r"(?:^|,\s*)(Basic|Bearer)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')

_WORD = re.compile(r"[!-~]+")  # what a header may carry


@dataclass(frozen=True)
class Challenge:
    """One way in that a WWW-Authenticate header offers; `scheme` is in lower case."""

    scheme: str
    parameters: Mapping[str, str]


class Ask(Protocol):
    """Sends a request, outside of any authentication: status and the bounded body."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, /
    ) -> tuple[int, bytes]: ...


def challenges(header: str) -> list[Challenge]:
    """What a WWW-Authenticate header offers that we know."""
    starts = [*_SCHEME.finditer(header)]
    ends = [found.start() for found in starts[1:]] + [len(header)] * bool(starts)
    return [
        Challenge(found[1].lower(), _parameters(header[found.end() : end]))
        for found, end in zip(starts, ends, strict=True)
    ]


def _parameters(text: str) -> dict[str, str]:
    return {
        found[1].lower(): re.sub(r"\\(.)", r"\1", found[2]) if found[3] is None else found[3]
        for found in _PARAMETER.finditer(text)
    }


class Authenticator:
    """The Authorization header for one registry; several threads may ask.

    Args:
        registry: as a user writes it.
        find: looks up credentials, when first a challenge asks for some.
    """

    def __init__(self, registry: str, find: Callable[[str], Credentials | None], ask: Ask) -> None:
        self._registry = registry
        self._find = find
        self._ask = ask
        self._lock = threading.RLock()
        self._answers: dict[Scopes, str] = {}
        self._basic: str | None = None

    def header(self, scopes: Scopes) -> str | None:
        """What is known to open these rights, None before the first challenge."""
        return self._basic or self._answers.get(scopes)

    def answer(self, header: str, scopes: Scopes, tried: str | None) -> str:
        """The Authorization header that a challenge asks for, after `tried` was not taken.

        Raises:
            InvalidInput: credentials are needed or not accepted.
            VerificationFailed: the token would be bought over a connection that others can read.
        """
        with self._lock:
            known = self.header(scopes)
            if known is not None and known != tried:
                return known  # another thread was faster
            for offer in sorted(challenges(header), key=lambda offer: offer.scheme != "bearer"):
                if offer.scheme == "bearer" and "realm" in offer.parameters:
                    self._answers[scopes] = "Bearer " + self._token(offer, scopes)
                    return self._answers[scopes]
                if offer.scheme == "basic":
                    return self._with_password(tried)
        raise YardarmError(
            "the registry asks for an authentication that is not known here",
            where=self._registry,
            hint=header or "it sends no WWW-Authenticate header",
        )

    def _with_password(self, tried: str | None) -> str:
        credentials = self._find(self._registry)
        if credentials is None or not credentials.username:
            raise wanted(self._registry)
        basic = credentials.basic()
        if basic == tried:
            raise refused(self._registry, credentials)
        self._basic = basic
        return basic

    def _token(self, offer: Challenge, scopes: Scopes) -> str:
        realm = offer.parameters["realm"]
        credentials = self._find(self._registry)
        if credentials and not _private(realm):
            raise VerificationFailed(
                f"the registry sends us to {realm}, where a password could be read on the way",
                where=self._registry,
                hint="its token service needs https",
            )
        status, body = self._buy(realm, offer.parameters.get("service"), scopes, credentials)
        if status in (401, 403):
            raise refused(self._registry, credentials) if credentials else wanted(self._registry)
        token = _token(body) if status == 200 else ""
        if not token:
            raise YardarmError(f"no token comes from {realm} (HTTP {status})", where=self._registry)
        return token

    def _buy(
        self, realm: str, service: str | None, scopes: Scopes, credentials: Credentials | None
    ) -> tuple[int, bytes]:
        asked = [("service", service)] if service else []
        if credentials and credentials.identity_token:
            form = [
                *asked,
                *(("grant_type", "refresh_token"), ("client_id", CLIENT)),
                *(("refresh_token", credentials.identity_token), ("scope", " ".join(scopes))),
            ]
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._ask("POST", realm, kind, urlencode(form).encode())
        query = urlencode([*asked, *(("scope", scope) for scope in scopes)])
        headers = {"Authorization": credentials.basic()} if credentials else {}
        return self._ask("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", headers, None)


def _private(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or loopback(parts.hostname or "")
    except ValueError:
        return False


def loopback(host: str) -> bool:
    """Whether a host, without its port, is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(body: bytes) -> str:
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError):
        return ""
    return token if isinstance(token, str) and _WORD.fullmatch(token) else ""


def wanted(registry: str) -> InvalidInput:
    """There are no credentials, and the registry wants some."""
    return InvalidInput(
        "the registry wants to know who we are", where=registry, hint=LOGIN.format(registry)
    )


def refused(registry: str, credentials: Credentials) -> InvalidInput:
    name = f" of {credentials.username}" if credentials.username else ""
    return InvalidInput(
        f"the registry refuses the credentials{name}",
        where=registry,
        hint=LOGIN.format(registry) + " again",
    )
