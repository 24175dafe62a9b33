"""Requests as they go over the wire: connections, proxies, certificates, time limits."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from yardarm.errors import VerificationFailed
from yardarm.registry.authentication import loopback

TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
"""Seconds for a connection, and between two pieces of an answer."""

PIECE = 1 << 18
_SMALL = 64 << 10
CERTIFICATES = Path("/etc/docker/certs.d")
"""Where docker is told of a registry's own certificate authority: HOST/*.crt."""


class Cut(Exception):
    """A connection could not be made, or broke. `wrong_protocol`: the other end speaks no TLS."""

    def __init__(self, reason: str, *, wrong_protocol: bool = False) -> None:
        super().__init__(reason)
        self.wrong_protocol = wrong_protocol


@dataclass(frozen=True)
class Part:
    """Bytes of a file to send; `sent` is told of each piece."""

    file: Path
    offset: int
    size: int
    sent: Callable[[int], None] = lambda _size: None

    def pieces(self) -> Iterator[bytes]:
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            left = self.size
            while left and (piece := stream.read(min(PIECE, left))):
                left -= len(piece)
                yield piece
                self.sent(len(piece))


class Answer:
    """A status, headers, and a body that is read once; a context that lets the connection go."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, url: str, ended: Callable[[Answer], None]
    ) -> None:
        self._response = response
        self._ended = ended
        self.url = url
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go, for the next request where little of the body is left."""
        self._ended(self)
        size = self.headers.get("Content-Length", "")
        if size.isdigit() and int(size) <= _SMALL:
            self._response.drain_conn()
        else:
            self._response.close()
        self._response.release_conn()

    def stop(self) -> None:
        """End the reading of the body, in whatever thread that happens."""
        # It has ended meanwhile: the last is urllib3's word for a body that was read whole.
        with suppress(ValueError, OSError, RuntimeError):
            self._response.shutdown()

    def following(self, target: str) -> str:
        """Where a target in a header leads; what is no address stays, and is refused when it is
        used."""
        try:
            return urljoin(self.url, target)
        except ValueError:
            return target

    def pieces(self) -> Iterator[bytes]:
        """The body as it was sent. Raises Cut."""
        try:
            yield from self._response.stream(PIECE, decode_content=False)
        except (HTTPError, OSError) as error:
            raise Cut(str(error)) from None

    def read(self, limit: int) -> bytes:
        """The body, up to one byte more than `limit`. Raises Cut."""
        found = bytearray()
        for piece in self.pieces():
            found += piece
            if len(found) > limit:
                break
        return bytes(found[: limit + 1])


class Connections:
    """Open connections to a registry and to where it sends us."""

    def __init__(self, registry: str) -> None:
        self._context = _trust(registry)
        self._direct = urllib3.PoolManager(ssl_context=self._context, maxsize=4)
        self._proxied: dict[str, urllib3.PoolManager] = {}
        self._open: set[Answer] = set()
        self._stopped = False

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Part | None
    ) -> Answer:
        """One request, neither retried nor redirected.

        Raises:
            Cut: no connection, or no answer.
            VerificationFailed: a certificate that nobody whom we trust has signed.
        """
        sized = {"Accept-Encoding": "identity", "User-Agent": "yardarm", **headers}
        if body is not None:
            size = body.size if isinstance(body, Part) else len(body)
            sized["Content-Length"] = str(size)
        try:
            response = self._pool(url).request(
                *(method, url),
                body=body.pieces() if isinstance(body, Part) else body,
                headers=sized,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=TIMEOUT,
            )
        except SSLError as error:
            raise _untrusted(url, error) from None
        except (HTTPError, OSError) as error:
            raise Cut(_told(error)) from None
        answer = Answer(response, url, self._open.discard)
        self._open.add(answer)
        if self._stopped:  # while the answer was waited for
            answer.stop()
        return answer

    def stop(self) -> None:
        """End all reading, what is under way and what would begin."""
        self._stopped = True
        for answer in list(self._open):
            answer.stop()

    def close(self) -> None:
        for pool in (self._direct, *self._proxied.values()):
            pool.clear()

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = urllib.request.getproxies().get(parts.scheme)
        if not proxy or loopback(host) or urllib.request.proxy_bypass(parts.netloc):
            return self._direct
        if proxy not in self._proxied:
            self._proxied[proxy] = urllib3.ProxyManager(proxy, ssl_context=self._context)
        return self._proxied[proxy]


def _trust(registry: str) -> ssl.SSLContext:
    """The system's authorities (or $SSL_CERT_FILE's), and those that docker is told of."""
    context = ssl.create_default_context()
    for file in sorted((CERTIFICATES / registry).glob("*.crt")):
        context.load_verify_locations(file)
    return context


def _untrusted(url: str, error: SSLError) -> Exception:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" not in text:
        return Cut(text, wrong_protocol=True)
    host = urlsplit(url).netloc
    return VerificationFailed(
        "the certificate is not one that this machine trusts",
        where=host,
        hint=f"put its authority into {CERTIFICATES / host}/ca.crt, or name it in $SSL_CERT_FILE",
    )


def _told(error: Exception) -> str:
    """The innermost reason, without the names of objects in front of it."""
    reason = str(getattr(error, "reason", None) or error)
    return reason.rpartition(">: ")[2] or type(error).__name__
