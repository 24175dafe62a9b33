"""Where things are on the device, below one root (/var/lib/yardarm by default)."""

from __future__ import annotations

import os
import re

from yardarm_wire.problems import Invalid

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def hexadecimal(digest: object) -> str:
    """The digits of a digest. Raises Invalid for anything else, so that no path is built
    from what a host said."""
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if match is None:
        raise Invalid("not a sha256 digest: %.80r" % (digest,))
    return match.group(1)


def plain(name: object) -> str:
    """A file's name without any folder. Raises Invalid for anything else."""
    fits = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\0")
    if not fits:
        raise Invalid("not a file name: %.80r" % (name,))
    return str(name)


class Layout:
    """Paths below `root`; `prepare` makes the folders."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.trust = os.path.join(root, "trust")
        self.blobs = os.path.join(root, "store", "blobs", "sha256")
        self.incoming = os.path.join(root, "store", "incoming")
        self.images = os.path.join(root, "images")
        self.engines = os.path.join(root, "engines")
        self.releases = os.path.join(root, "releases")
        self.current = os.path.join(self.releases, "current")
        self.previous = os.path.join(self.releases, "previous")
        self.run = os.path.join(root, "run")
        self.spool = os.path.join(root, "spool")
        self.work = os.path.join(root, "work")

    def prepare(self) -> None:
        for folder in (
            self.trust,
            self.blobs,
            self.incoming,
            self.images,
            self.engines,
            self.releases,
            self.run,
            self.spool,
            self.work,
        ):
            os.makedirs(folder, 0o755, exist_ok=True)

    def blob(self, digest: object) -> str:
        return os.path.join(self.blobs, hexadecimal(digest))

    def partial(self, digest: object) -> str:
        return os.path.join(self.incoming, hexadecimal(digest))

    def image(self, config: object) -> str:
        return os.path.join(self.images, hexadecimal(config))

    def release(self, digest: object) -> str:
        return os.path.join(self.releases, hexadecimal(digest))

    def active(self, link: str) -> "str | None":
        """The digest that `current` or `previous` names; None when there is none."""
        try:
            return "sha256:" + os.path.basename(os.readlink(link))
        except FileNotFoundError:
            return None
