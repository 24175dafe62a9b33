"""Names of images in registries, read as docker reads them, but for their registry: none is taken
for granted."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from yardarm import digest as digests
from yardarm.digest import Digest
from yardarm.errors import InvalidInput

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_LONGEST = 255


@dataclass(frozen=True)
class Reference:
    """An image in a registry: `registry/repository:tag@digest`.

    Attributes:
        registry: host and port as a user writes them.
        tag: None where only a digest is given; "latest" where neither is.
    """

    registry: str
    repository: str
    tag: str | None = "latest"
    digest: Digest | None = None

    @staticmethod
    def parse(text: str) -> Reference:
        """Read a name, which begins with the registry's host.

        Source of the grammar: the distribution project's `reference` package.

        Raises:
            InvalidInput: not a name of an image, or a digest other than sha256.
        """
        if "://" in text:
            raise _wrong(text, "leave out what is before the host")
        name, at, pinned = text.partition("@")
        name, tag = _tagged(name)
        registry, repository = _placed(text, name)
        if not _HOST.fullmatch(registry):
            raise _wrong(text, f"{registry!r} is no host[:port]")
        if not _REPOSITORY.fullmatch(repository) or len(name) > _LONGEST:
            raise _wrong(text, "repositories have lower-case letters, digits, '.', '_', '-', '/'")
        if tag is not None and not _TAG.fullmatch(tag):
            raise _wrong(text, f"{tag!r} is no tag: up to 128 letters, digits, '_', '.', '-'")
        digest = _digest(text, pinned) if at else None
        return Reference(registry, repository, tag if tag or digest else "latest", digest)

    @property
    def name(self) -> str:
        """What a manifest is asked for by: the digest where there is one."""
        return self.digest or self.tag or "latest"

    def pinned(self, digest: Digest) -> Reference:
        """The same name, bound to a content."""
        return replace(self, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}" + (
            f"@{self.digest}" if self.digest else ""
        )


def _tagged(name: str) -> tuple[str, str | None]:
    """A colon after the last slash begins the tag; one before it, the port."""
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, None)


def _placed(text: str, name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or any(x in first for x in ".:") or first != first.lower()):
        return first, rest
    raise _wrong(text, "begin with the host of the registry: REGISTRY/REPOSITORY:TAG")


def _digest(text: str, pinned: str) -> Digest:
    try:
        return digests.parse(pinned)
    except ValueError:
        raise _wrong(text, "after @ comes sha256: and 64 hexadecimal digits") from None


def _wrong(text: str, hint: str) -> InvalidInput:
    return InvalidInput("not a name of an image in a registry", where=text, hint=hint)
