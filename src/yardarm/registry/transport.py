"""The way to one registry: which protocol, retries, redirects, and the answer to challenges."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

from yardarm.errors import Unreachable, VerificationFailed, YardarmError
from yardarm.events import Note, Sink, silent
from yardarm.registry import credentials
from yardarm.registry.answers import retry_after
from yardarm.registry.authentication import Authenticator, Scopes, loopback
from yardarm.registry.connections import Answer, Connections, Cut, Part
from yardarm.registry.credentials import Credentials

ATTEMPTS = 4
FIRST_WAIT = 0.25  # seconds; doubled from one attempt to the next
LONGEST_WAIT = 120.0  # seconds that a registry may have us wait
HOPS = 5
CHALLENGES = 3  # for the first, and for a token that has expired
TOKEN_LIMIT = 1 << 20
_PORTS = {"http": 80, "https": 443}
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)


class Abandoned(Exception):
    """Another part of the work failed, or the user wants it to end."""


class Transport:
    """Requests to one registry; several threads may send.

    Args:
        registry: host and port.
        schemes: tried in this order, until one is understood there.
    """

    def __init__(
        self,
        registry: str,
        schemes: tuple[str, ...],
        sink: Sink = silent,
        find: Callable[[str], Credentials | None] = credentials.find,
    ) -> None:
        self.registry = registry
        self._schemes = schemes
        self._sink = sink
        self._connections = Connections(registry)
        self._authenticator = Authenticator(registry, find, self._outside)
        self._stopped = threading.Event()
        self._choosing = threading.Lock()
        self._base: str | None = None

    def send(
        self,
        method: str,
        target: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Part | None = None,
        again: bool = True,
    ) -> Answer:
        """Send a request; the answer may be a refusal.

        Args:
            target: a path on the registry, or a URL that it gave.
            again: repeat the request after a broken connection, too, not only after a failure
                that passes.

        Raises:
            Unreachable: no connection or no answer, several times.
            Cut: the same with `again` false, once.
            InvalidInput: credentials are missing or refused.
            VerificationFailed: the certificate is not trusted, or the way leads out of TLS.
        """
        url, told = self._allowed(self.base(), target), dict(headers or {})
        if not self._ours(url):
            return self._followed(method, url, told, body, again)
        tried = self._authenticator.header(scopes)
        for left in reversed(range(CHALLENGES)):
            opening = {"Authorization": tried} if tried else {}
            answer = self._followed(method, url, told | opening, body, again)
            if answer.status != 401 or not left or not self._ours(answer.url):
                return answer
            answer.close()
            offer = answer.headers.get("WWW-Authenticate", "")
            tried = self._authenticator.answer(offer, scopes, tried)
        raise AssertionError("the last round returns")

    def base(self) -> str:
        """The registry's URL, in the first scheme that is understood there."""
        with self._choosing:
            self._base = self._base or self._found()
        return self._base

    def wait(self, seconds: float) -> None:
        """Pause before an attempt is repeated. Raises Abandoned."""
        if self._stopped.wait(seconds):
            raise Abandoned

    def check(self) -> None:
        """Raises Abandoned after `stop`."""
        if self._stopped.is_set():
            raise Abandoned

    def stop(self) -> None:
        """Have everything that is under way end soon."""
        self._stopped.set()
        self._connections.stop()

    def close(self) -> None:
        self._connections.close()

    def _found(self) -> str:
        *before, last = self._schemes
        for scheme in before:
            try:
                with self._connections.send("GET", f"{scheme}://{self.registry}/v2/", {}, None):
                    return f"{scheme}://{self.registry}"
            except Cut:
                continue
        return f"{last}://{self.registry}"

    def _followed(
        self, method: str, url: str, headers: dict[str, str], body: bytes | Part | None, again: bool
    ) -> Answer:
        """Redirects, to other hosts without what opens this one."""
        for _ in range(HOPS):
            answer = self._repeated(method, url, headers, body, again)
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not target:
                return answer
            answer.close()
            url = self._allowed(url, target)
            if not self._ours(url):
                headers = {name: text for name, text in headers.items() if name != "Authorization"}
        raise Unreachable(f"the registry redirects more than {HOPS} times", where=self.registry)

    def _allowed(self, base: str, target: str) -> str:
        """Where `target` leads from `base`, unless it leads out of TLS."""
        try:
            url = urljoin(base, target)
            parts = urlsplit(url)
            scheme, host, _ = parts.scheme, parts.hostname or "", parts.port
        except ValueError:
            raise YardarmError("the registry sends us to no address", where=target) from None
        plain = scheme == "http" and (loopback(host) or self.base().startswith("http:"))
        if scheme != "https" and not plain:
            raise VerificationFailed(
                f"the registry sends us to {url}, without TLS", where=self.registry
            )
        return url

    def _ours(self, url: str) -> bool:
        return _origin(url) == _origin(self.base())

    def _repeated(
        self, method: str, url: str, headers: dict[str, str], body: bytes | Part | None, again: bool
    ) -> Answer:
        for attempt in range(1, ATTEMPTS + 1):
            self.check()
            pause = FIRST_WAIT * 2 ** (attempt - 1)
            try:
                answer = self._connections.send(method, url, headers, body)
            except Cut as error:
                if not again:
                    raise
                if attempt == ATTEMPTS:
                    raise self._unreachable(url, error) from None
            else:
                asked = retry_after(answer.headers)
                last = attempt == ATTEMPTS or (asked or 0.0) > LONGEST_WAIT
                if answer.status not in _TRANSIENT or last:
                    return answer
                pause = self._asked(answer, asked, pause)
            self.wait(pause)
        raise AssertionError("the last attempt returns or raises")

    def _asked(self, answer: Answer, asked: float | None, pause: float) -> float:
        answer.close()
        if asked and asked > 1:
            self._sink(Note(f"{self.registry} asks to wait {asked:.0f} s"))
        return pause if asked is None else asked

    def _unreachable(self, url: str, error: Cut) -> Unreachable:
        where = urlsplit(url).netloc
        if error.wrong_protocol:
            hint = "it speaks no TLS: --plain-http, if nobody can listen in between"
            return Unreachable(f"no secure connection: {error}", where=where, hint=hint)
        return Unreachable(
            f"the registry can't be reached: {error}", where=where, hint="check host, port, network"
        )

    def _outside(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, bytes]:
        """For the authenticator: to the token service, which may be anywhere."""
        with self._repeated(method, url, dict(headers), body, True) as answer:
            try:
                return answer.status, answer.read(TOKEN_LIMIT)
            except Cut as error:
                raise self._unreachable(url, error) from None


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]
