"""What a registry holds, one request each. Source: OCI Distribution Specification 1.1."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from yardarm.digest import Digest, of_bytes
from yardarm.errors import Unreachable, VerificationFailed
from yardarm.events import Sink, silent
from yardarm.registry import manifests
from yardarm.registry.answers import LONGEST_ERROR, problem
from yardarm.registry.authentication import Scopes
from yardarm.registry.connections import Answer, Cut
from yardarm.registry.insecure import schemes
from yardarm.registry.manifests import Manifest
from yardarm.registry.reference import Reference
from yardarm.registry.transport import ATTEMPTS, FIRST_WAIT, Transport


def pulling(repository: str) -> Scopes:
    return (f"repository:{repository}:pull",)


def pushing(repository: str) -> Scopes:
    return (f"repository:{repository}:pull,push",)


class Client:
    """One repository of a registry; several threads may use it. A context that closes it.

    Args:
        reference: names registry and repository.
        plain_http: speak HTTP without TLS.
        writing: ask for the right to push at once, not only to pull.
    """

    def __init__(
        self,
        reference: Reference,
        sink: Sink = silent,
        *,
        plain_http: bool = False,
        writing: bool = False,
    ) -> None:
        self.reference = reference
        self.repository = reference.repository
        self.scopes = pushing(self.repository) if writing else pulling(self.repository)
        found = schemes(reference.registry, plain_http=plain_http)
        self.transport = Transport(reference.registry, found, sink)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.transport.stop()
        self.transport.close()

    def path(self, rest: str) -> str:
        return f"/v2/{self.repository}/{rest}"

    def greet(self) -> None:
        """See that the registry answers and knows us. Raises as `manifest` does."""
        with self._get("/v2/", {}) as answer:
            self.expect(answer, (200, 404), str(self.reference))

    def manifest(self, name: str) -> Manifest:
        """The manifest or index under a tag or digest.

        Raises:
            InvalidInput: there is none, no right to see it, or it is damaged.
            Unreachable: the registry is down, or asks to wait too long.
            VerificationFailed: it is not the one that was asked for.
            Unsupported: something else than an image's manifest.
        """
        found = self.find_manifest(name)
        if found is None:
            raise problem(
                404,
                {},
                b"",
                where=self._where(name),
                registry=self.reference.registry,
                missing="the registry has no such image",
            )
        return found

    def find_manifest(self, name: str) -> Manifest | None:
        """The same; None: there is none."""
        found = self._document(self.path(f"manifests/{name}"), self._where(name))
        if found is None:
            return None
        data, told = found
        expected = name if name.startswith("sha256:") else told.get("Docker-Content-Digest", "")
        wanted = manifests.digest_of(expected)
        if wanted and len(data) <= manifests.LIMIT and of_bytes(data) != wanted:
            raise VerificationFailed(
                "the manifest is not the one that its digest names", where=self._where(name)
            )
        return manifests.read(data, told.get("Content-Type", ""), self._where(name))

    def _document(self, path: str, where: str) -> tuple[bytes, Mapping[str, str]] | None:
        """A manifest's bytes, up to one more than there may be, and the headers."""
        broken = ""
        for attempt in range(1, ATTEMPTS + 1):
            with self._get(path, {"Accept": manifests.ACCEPT}) as answer:
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise self.refusal(answer, where, "the registry has no such image")
                try:
                    return answer.read(manifests.LIMIT), answer.headers
                except Cut as error:
                    broken = f"the connection breaks each time: {error}"
            self.transport.wait(FIRST_WAIT * attempt)
        raise Unreachable(broken, where=where)

    def put_manifest(self, name: str, data: bytes, media_type: str) -> Mapping[str, str]:
        """Put a manifest under a tag or its digest; the headers of the answer."""
        answer = self.transport.send(
            *("PUT", self.path(f"manifests/{name}"), self.scopes),
            headers={"Content-Type": media_type},
            body=data,
        )
        with answer:
            self.expect(answer, (200, 201, 202), self._where(name))
            return answer.headers

    def has_blob(self, digest: Digest) -> bool:
        with self.transport.send("HEAD", self.path(f"blobs/{digest}"), self.scopes) as answer:
            if answer.status not in (200, 404):
                raise self.refusal(answer, str(self.reference), "the registry has no such blob")
            return answer.status == 200

    def open_blob(self, digest: Digest, offset: int) -> Answer:
        """A blob from `offset` bytes on, where the registry can: 206; else all of it: 200."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return self._get(self.path(f"blobs/{digest}"), headers)

    def expect(self, answer: Answer, statuses: tuple[int, ...], where: str) -> None:
        """Raise what an answer means that is none of these."""
        if answer.status not in statuses:
            raise self.refusal(answer, where, "the registry does not know it")

    def refusal(self, answer: Answer, where: str, missing: str) -> Exception:
        body = self.bounded(answer, LONGEST_ERROR)
        return problem(
            answer.status,
            answer.headers,
            body,
            where=where,
            registry=self.reference.registry,
            missing=missing,
        )

    def _get(self, path: str, headers: Mapping[str, str]) -> Answer:
        return self.transport.send("GET", path, self.scopes, headers=headers)

    def bounded(self, answer: Answer, limit: int = manifests.LIMIT) -> bytes:
        try:
            return answer.read(limit)
        except Cut as error:
            raise Unreachable(
                f"the connection broke: {error}", where=self.reference.registry
            ) from None

    def _where(self, name: str) -> str:
        mark = "@" if name.startswith("sha256:") else ":"
        return f"{self.reference.registry}/{self.repository}{mark}{name}"
