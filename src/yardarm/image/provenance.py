"""How an image came to be: an in-toto statement with SLSA's provenance.

It holds what went in and nothing of where it was made: no machine, no path, no registry, no
hour. Whoever composes the same gets the same statement.

Sources: in-toto Statement v1; SLSA provenance v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from yardarm import lockfile
from yardarm.artifacts import Image
from yardarm.digest import Digest, canonical_json, of_bytes
from yardarm.image import sbom
from yardarm.image.inventory import Inventory
from yardarm.image.layer import epoch
from yardarm.image.spec import Spec
from yardarm.lockfile import Lock, Pinned
from yardarm.profiles import Profile

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:yardarm:image:1"
"""The kind of build: composed from packages and wheels, none of them run."""


@dataclass(frozen=True)
class Origin:
    """What an image was made from.

    Attributes:
        name: what it is called, such as `angle`.
        lock: what the image has of the project's lock.
        source: digest of the application in it; None: it has none.
    """

    name: str
    spec: Spec
    profile: Profile
    lock: Lock
    source: Digest | None = None

    @property
    def pinned(self) -> tuple[Pinned, ...]:
        """The wheels in it."""
        return tuple(each for wheels in self.lock.wheels.values() for each in wheels.pinned)

    @property
    def parameters(self) -> dict[str, Any]:
        """What was asked for, without the paths that it has on this machine."""
        spec: dict[str, Any] = asdict(self.spec) | {
            "base": _local(self.spec.base) if self.spec.base else None,
            "source": sorted(path.name for path in self.spec.source),
        }
        spec.pop("root", None)
        return {"spec": spec, "profile": self.profile.name}

    @property
    def locked(self) -> str:
        """The digest of the lock's text: of the file, where it holds nothing else."""
        return of_bytes(lockfile.dump(self.lock).encode())


def provenance(image: Image, found: Inventory, origin: Origin) -> bytes:
    """The statement about an image, as canonical JSON.

    Args:
        image: the subject, by the digest of its manifest.
        found: what is in its layers.
    """
    version = image.contents.get("yardarm_runtime", "")
    body = {
        "_type": STATEMENT,
        "subject": [{"name": origin.name, "digest": _sha256(image.digest)}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": origin.parameters,
                "internalParameters": {
                    "lock": origin.locked,
                    "config": image.config.digest,
                    "SOURCE_DATE_EPOCH": epoch(),
                },
                "resolvedDependencies": list(_dependencies(found, origin)),
            },
            "runDetails": {"builder": {"id": "urn:yardarm", "version": {"yardarm": version}}},
        },
    }
    return canonical_json(body)


def _dependencies(found: Inventory, origin: Origin) -> Iterator[dict[str, Any]]:
    base = origin.spec.base
    if base and base in origin.lock.bases:
        yield {"uri": f"pkg:oci/{_oci(base)}", "digest": _sha256(origin.lock.bases[base])}
    if origin.source:
        yield {"name": "application", "digest": _sha256(origin.source)}
    for package in found.debian:
        yield {"uri": sbom.deb(package, found.distribution)}
    yield from _wheels(origin.pinned)


def _wheels(pinned: Iterable[Pinned]) -> Iterator[dict[str, Any]]:
    for each in sorted(pinned):
        yield {
            "uri": sbom.wheel(each.name, each.version),
            "name": each.file,
            "digest": {"sha256": each.sha256},
        }


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": digest.removeprefix("sha256:")}


def _local(base: str) -> str:
    """A base without the registry's host, or the folders that a file lies in."""
    kind, colon, rest = base.partition(":")
    if kind in ("oci", "archive") and colon:
        return f"{kind}:{PurePosixPath(rest).name}"
    host, slash, repository = base.partition("/")
    outside = slash and (host == "localhost" or "." in host or ":" in host)
    return repository if outside else base


def _oci(base: str) -> str:
    """The name that a package URL of an image has: the last part of its repository."""
    name = _local(base).partition("@")[0].rpartition("/")[2]
    return quote(name.partition(":")[0], safe="")
