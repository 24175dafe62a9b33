"""The software bill of materials of an image, as CycloneDX 1.6 JSON.

Everything in it follows from the image and the lock: the same ones give the same bytes. It
names the image by its config, which stays when layers are compressed on their way out.

Sources: CycloneDX 1.6's JSON schema; the package URL types `deb` and `pypi`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from yardarm.artifacts import Image
from yardarm.digest import Digest, canonical_json, of_bytes
from yardarm.image.inventory import Inventory, Package
from yardarm.image.layer import epoch
from yardarm.image.licences import Licences, is_spdx
from yardarm.image.runtime import PACKAGES
from yardarm.lockfile import Pinned

LICENCE = "Apache-2.0"
"""Yardarm's own, which its runtime in the image has."""


def sbom(
    image: Image,
    found: Inventory,
    *,
    name: str,
    pinned: Iterable[Pinned] = (),
    source: Digest | None = None,
) -> bytes:
    """CycloneDX JSON of an image.

    Args:
        found: what is in its layers.
        name: what the image is called.
        pinned: wheels that the image was made of, whose hashes are told.
        source: digest of the project's own application in it.
    """
    wheels = {(_plain(each.name), each.version): each for each in pinned}
    components = [
        *(_deb(each, found) for each in found.debian),
        *(_wheel(each, wheels.get((_plain(each.name), each.version))) for each in found.python),
        *(_own(each, image.contents[each]) for each in PACKAGES if each in image.contents),
        *([_application(name, source)] if source else []),
    ]
    components.sort(key=lambda each: str(each["bom-ref"]))
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": _metadata(image, name),
        "components": components,
        "dependencies": _dependencies(image, found, components),
        "compositions": [
            {
                "aggregate": "complete" if found.whole else "incomplete",
                "assemblies": [image.config.digest],
            }
        ],
    }
    return canonical_json(body | {"serialNumber": _serial(body)})


def _serial(body: Mapping[str, Any]) -> str:
    """Of the content: the first half of its digest, as a UUID of version 8."""
    digits = of_bytes(canonical_json(body)).removeprefix("sha256:")[:32]
    number = int(digits, 16) & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62
    return f"urn:uuid:{uuid.UUID(int=number)}"


def _metadata(image: Image, name: str) -> dict[str, Any]:
    version = image.contents.get("yardarm_runtime", "")
    return {
        "timestamp": datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tools": {"components": [{"type": "application", "name": "yardarm", "version": version}]},
        "component": {
            "type": "container",
            "bom-ref": image.config.digest,
            "name": name,
            "version": image.config.digest,
        },
    }


def _deb(package: Package, found: Inventory) -> dict[str, Any]:
    purl = deb(package, found.distribution)
    return _component(package, purl) | {"purl": purl}


def deb(package: Package, distribution: tuple[str, str]) -> str:
    """The package URL of a Debian package."""
    family, version = distribution
    arch = package.architecture or "arm64"
    marks = f"arch={arch}" + (f"&distro={family}-{version}" if version else "")
    name, number = quote(package.name, safe=""), quote(package.version, safe="")
    return f"pkg:deb/{family or 'debian'}/{name}@{number}?{marks}"


def wheel(name: str, version: str) -> str:
    """The package URL of a Python package."""
    return f"pkg:pypi/{_plain(name)}@{quote(version, safe='')}"


def _wheel(package: Package, pinned: Pinned | None) -> dict[str, Any]:
    purl = wheel(package.name, package.version)
    found = _component(package, purl) | {"purl": purl}
    if pinned:
        found["purl"] = f"{purl}?file_name={quote(pinned.file, safe='')}"
        found["hashes"] = [{"alg": "SHA-256", "content": pinned.sha256}]
    return found


def _own(name: str, version: str) -> dict[str, Any]:
    return _component(Package(name, version, Licences((LICENCE,))), f"{name}@{version}")


def _application(name: str, source: Digest) -> dict[str, Any]:
    content = source.removeprefix("sha256:")
    hashes = [{"alg": "SHA-256", "content": content}]
    found = {"type": "application", "bom-ref": f"application@{source}", "name": name}
    return found | {"version": source, "hashes": hashes}


def _component(package: Package, reference: str) -> dict[str, Any]:
    found = {
        "type": "library",
        "bom-ref": reference,
        "name": package.name,
        "version": package.version,
    }
    licences = _licences(package.licences)
    return found | ({"licenses": licences} if licences else {})


def _licences(found: Licences) -> list[dict[str, Any]]:
    """One expression, or a list of names: CycloneDX takes no mixture."""
    how = {"acknowledgement": "declared" if found.declared else "concluded"}
    if len(found.names) == 1 and re.search(r" (AND|OR|WITH) ", found.names[0]):
        return [{"expression": found.names[0]} | how]
    return [{"license": _named(name) | how} for name in found.names]


def _named(name: str) -> dict[str, str]:
    return {"id" if is_spdx(name) else "name": name}


def _dependencies(
    image: Image, found: Inventory, components: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Who needs whom, as far as packages say so; the image needs what nobody else does."""
    debian = {each.name: deb(each, found.distribution) for each in found.debian}
    python = {_plain(each.name): wheel(each.name, each.version) for each in found.python}
    needs: dict[str, set[str]] = {str(each["bom-ref"]): set() for each in components}
    for each in found.debian:
        needs[debian[each.name]] |= {debian[name] for name in each.requires if name in debian}
    for each in found.python:
        wanted = {_plain(_name(text)) for text in each.requires}
        needs[wheel(each.name, each.version)] |= {python[name] for name in wanted & python.keys()}
    needed = {other for own, others in needs.items() for other in others if other != own}
    needs[image.config.digest] = needs.keys() - needed
    return [
        {"ref": own, "dependsOn": sorted(others - {own})} for own, others in sorted(needs.items())
    ]


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]


def _plain(name: str) -> str:
    """A Python package's name as indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()
