"""The one way to the addresses of an index: pages, sizes, and single members of wheels."""

from __future__ import annotations

import io
import ssl
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError
from urllib3.util import make_headers

from yardarm.errors import InvalidInput, Unreachable, VerificationFailed
from yardarm.image.indexes import Index

_TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PIECE = 64 << 10
_LARGEST_PAGE = 256 << 20


class Web:
    """Requests with the credentials of the indexes that they belong to.

    Errors never tell more of an address than its path: who runs an index is nobody's business
    who reads a log.
    """

    def __init__(self, indexes: Sequence[Index] = ()) -> None:
        self._indexes = indexes
        trust = ssl.create_default_context()
        self._direct = urllib3.PoolManager(ssl_context=trust, maxsize=8)
        self._proxied = {
            scheme: urllib3.ProxyManager(proxy, ssl_context=trust)
            for scheme, proxy in urllib.request.getproxies().items()
            if scheme in ("http", "https")
        }

    def get(self, url: str, accept: str = "*/*") -> tuple[bytes, str] | None:
        """A page and its media type; None: there is none.

        Raises:
            Unreachable: no connection, or no answer.
            InvalidInput: the index lets nobody in, or refuses.
        """
        if url.startswith("file:"):
            return _read(url)
        answer = self._request("GET", url, {"Accept": accept})
        if answer.status in (404, 410):
            return None
        return answer.data[:_LARGEST_PAGE], answer.headers.get("Content-Type", "")

    def size(self, url: str) -> int:
        """Bytes of a file. Raises as `get` does."""
        if url.startswith("file:"):
            return Path(_path(url)).stat().st_size
        length = self._request("HEAD", url, {}).headers.get("Content-Length", "")
        return int(length) if length.isdigit() else len((self.get(url) or (b"", ""))[0])

    def member(self, url: str, suffix: str) -> bytes | None:
        """A member of a wheel, of which no more is fetched than is needed where the server knows
        ranges. Raises as `get` does."""
        try:
            with zipfile.ZipFile(_Remote(self, url)) as archive:
                names = [name for name in archive.namelist() if name.endswith(suffix)]
                return archive.read(names[0]) if names else None
        except zipfile.BadZipFile:
            return None

    def piece(self, url: str, start: int, end: int) -> tuple[int, bytes]:
        """Bytes from `start` to before `end`, or all from 0: with where they begin."""
        if url.startswith("file:"):
            return 0, Path(_path(url)).read_bytes()
        answer = self._request("GET", url, {"Range": f"bytes={start}-{end - 1}"})
        return (start if answer.status == 206 else 0), answer.data

    def _request(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        sent = {"User-Agent": "yardarm", **headers, **self._credentials(url)}
        try:
            answer = self._pool(url).request(
                method,
                url,
                headers=sent,
                timeout=_TIMEOUT,
                retries=urllib3.Retry(3, backoff_factor=0.2, status_forcelist=(429, 502, 503, 504)),
            )
        except SSLError as error:
            raise VerificationFailed(
                "the index's certificate is not trusted here",
                where=urlsplit(url).path,
                hint=f"name its authority in $SSL_CERT_FILE ({_told(error)})",
            ) from None
        except HTTPError as error:
            raise Unreachable(
                "the index of Python packages can't be reached", hint=_told(error)
            ) from None
        if answer.status in (401, 403):
            raise InvalidInput(
                f"the index lets nobody in as uv is configured (HTTP {answer.status})",
                where=urlsplit(url).path,
                hint="credentials go into uv's configuration, its variables or netrc",
            )
        if answer.status >= 400 and answer.status not in (404, 410):
            raise Unreachable(f"the index fails: HTTP {answer.status}", where=urlsplit(url).path)
        return answer

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        if parts.hostname in _LOOPBACK or urllib.request.proxy_bypass(parts.netloc):
            return self._direct
        return self._proxied.get(parts.scheme, self._direct)

    def _credentials(self, url: str) -> Mapping[str, str]:
        """Those of the index on the same host; files often lie beside it."""
        here = urlsplit(url)
        for index in self._indexes:
            there = urlsplit(index.url)
            same = (there.scheme, there.netloc) == (here.scheme, here.netloc)
            if same and (index.user or index.password):
                return make_headers(basic_auth=f"{index.user}:{index.password}")
        return {}


class _Remote(io.RawIOBase):
    """A file that is read in pieces, for `zipfile`."""

    def __init__(self, web: Web, url: str) -> None:
        self._web, self._url = web, url
        self._size = web.size(url)
        self._at = 0
        self._begin, self._data = 0, b""

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = origin + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        if not self._begin <= self._at <= end <= self._begin + len(self._data):
            start = max(0, min(self._at, self._size - _PIECE))
            upto = min(self._size, max(end, start + _PIECE))
            self._begin, self._data = self._web.piece(self._url, start, upto)
        found = self._data[self._at - self._begin : end - self._begin]
        self._at += len(found)
        return found


def _read(url: str) -> tuple[bytes, str] | None:
    path = Path(_path(url))
    page = path / "index.html"
    if path.is_dir() and not page.is_file():
        links = (f'<a href="{quote(file.name)}"></a>' for file in sorted(path.iterdir()))
        return "".join(links).encode(), "text/html"
    page = page if path.is_dir() else path
    return (page.read_bytes(), "text/html") if page.is_file() else None


def _path(url: str) -> str:
    return unquote(urlsplit(url).path)


def _told(error: Exception) -> str:
    """The innermost reason, without objects and addresses in front of it."""
    reason = str(getattr(error, "reason", None) or error)
    return reason.rpartition(">: ")[2].rpartition("): ")[2] or type(error).__name__
