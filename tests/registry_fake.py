"""A stand-in for a registry, for what a healthy one does not do: it answers as it is told.

No judge of what is right: that are the real ones, in test_pull.py and test_push.py.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from yardarm.artifacts import MEDIA_CONFIG, MEDIA_MANIFEST
from yardarm.digest import canonical_json, of_bytes

MEDIA_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    claimed: int | None = None  # Content-Length, where it is not that of the body
    late: float = 0.0  # seconds before the answer begins
    stalls: bool = False  # neither goes on after the body nor hangs up


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Fake:
    """Answers each path with the next of its replies, the last one again and again.

    Attributes:
        replies: "METHOD path" to replies; what isn't there is answered with 404.
        asked: all requests, in their order.
    """

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[Asked] = []
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path
                outer.asked.append(Asked(self.command, path, dict(self.headers), body))
                reply = outer.next(f"{self.command} {path}")
                outer.over.wait(reply.late)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                size = len(reply.body) if reply.claimed is None else reply.claimed
                self.send_header("Content-Length", str(size))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)
                if reply.stalls:
                    outer.over.wait(60)
                self.close_connection = reply.claimed is not None

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Fake:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next(self, what: str) -> Reply:
        found = self.replies.get(what) or self.replies.get(what.partition("?")[0])
        if not found:
            return Reply(404)
        return found.pop(0) if len(found) > 1 else found[0]

    def paths(self, method: str = "GET") -> list[str]:
        return [asked.path for asked in self.asked if asked.method == method]

    def offer(self, tag: str, layer: bytes, *, architecture: str = "arm64") -> str:
        """Hold an image of one layer in the repository `app`; the layer's path."""
        config = canonical_json({"architecture": architecture, "os": "linux"})
        body = canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MEDIA_MANIFEST,
                "config": self.blob(config, MEDIA_CONFIG),
                "layers": [self.blob(layer, MEDIA_LAYER_GZIP)],
            }
        )
        self.manifest(tag, body, MEDIA_MANIFEST)
        return f"GET /v2/app/blobs/{of_bytes(layer)}"

    def manifest(self, tag: str, body: bytes, kind: str) -> None:
        reply = Reply(200, body, {"Content-Type": kind})
        for name in (tag, of_bytes(body)):
            self.replies[f"GET /v2/app/manifests/{name}"] = [reply]

    def blob(self, data: bytes, kind: str) -> dict[str, object]:
        self.replies[f"GET /v2/app/blobs/{of_bytes(data)}"] = [Reply(200, data)]
        return {"mediaType": kind, "digest": of_bytes(data), "size": len(data)}
