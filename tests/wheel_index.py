"""Tiny wheels, and an index of them on loopback as private ones are."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

from packaging.utils import canonicalize_name

ANY = "py3-none-any"
X86 = "py3-none-manylinux_2_17_x86_64"
ARM = "cp311-cp311-manylinux_2_17_aarch64"

USER, PASSWORD = "tester", "s3cret/word"


def wheel(
    folder: Path,
    name: str,
    tag: str = ANY,
    requires: str = "",
    *,
    more: Mapping[str, str] = MappingProxyType({}),
    version: str = "1.0",
) -> Path:
    """Write a wheel with a module, a test, a test's helper and a program."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": "",
        f"{name}/tests/test_it.py": "",
        f"{name}/tests/_helper.py": "",
        f"{name}-{version}.data/scripts/{name}-tool": "#!python\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        **more,
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    file = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return file


def sdist(folder: Path, name: str, version: str = "1.0") -> Path:
    file = folder / f"{name}-{version}.tar.gz"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    with tarfile.open(file, "w:gz") as archive:
        member = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return file


@dataclass
class Served:
    """A folder's files as an index.

    Attributes:
        form: "json" (PEP 691), "html" (PEP 503 with hashes) or "bare" (links alone).
        private: whether it wants USER and PASSWORD.
        shown: the credentials of each request, "" without any.
    """

    folder: Path
    form: str = "json"
    private: bool = False
    port: int = 0
    shown: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    @property
    def url_with_credentials(self) -> str:
        return self.url.replace("://", f"://{USER}:{PASSWORD.replace('/', '%2F')}@")

    def page(self, package: str) -> tuple[bytes, str] | None:
        files = [file for file in sorted(self.folder.iterdir()) if _package(file) == package]
        if not files:
            return None
        if self.form == "json":
            listed = [_entry(file) for file in files]
            body = {"meta": {"api-version": "1.0"}, "name": package, "files": listed}
            return json.dumps(body).encode(), "application/vnd.pypi.simple.v1+json"
        links = (self._link(file) for file in files)
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode(), "text/html"

    def _link(self, file: Path) -> str:
        fragment = "" if self.form == "bare" else f"#sha256={_sha256(file)}"
        return f'<a href="../../files/{file.name}{fragment}">{file.name}</a>'


@contextmanager
def served(folder: Path, form: str = "json", *, private: bool = False) -> Iterator[Served]:
    """Serve a folder while the block runs."""
    index = Served(folder, form, private)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(index))
    index.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(index: Served) -> type[BaseHTTPRequestHandler]:
    expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            index.shown.append(self.headers.get("Authorization", ""))
            if index.private and index.shown[-1] != f"Basic {expected}":
                self._answer(401, b"", "text/plain")
                return
            found = self._found()
            self._answer(*((200, *found) if found else (404, b"", "text/plain")))

        def do_HEAD(self) -> None:
            self.do_GET()

        def _found(self) -> tuple[bytes, str] | None:
            kind, _, name = self.path.strip("/").partition("/")
            if kind == "simple":
                return index.page(name)
            file = index.folder / name
            return (file.read_bytes(), "application/octet-stream") if file.is_file() else None

        def _answer(self, status: int, body: bytes, media_type: str) -> None:
            wanted = self.headers.get("Range", "")
            if status == 200 and wanted.startswith("bytes=") and index.form != "bare":
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start = int(first) if first else len(body) - int(last)
                end = int(last) if first and last else len(body) - 1
                status, total, body = 206, len(body), body[start : end + 1]
                self.send_response(status)
                self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{total}")
            else:
                self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            if index.form != "bare":
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _entry(file: Path) -> dict[str, object]:
    return {
        "filename": file.name,
        "url": f"../../files/{file.name}",
        "hashes": {"sha256": _sha256(file)},
        "size": file.stat().st_size,
    }


def _package(file: Path) -> str:
    return canonicalize_name(file.name.removesuffix(".tar.gz").split("-")[0])


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
