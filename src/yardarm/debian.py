"""Debian roots for another architecture, resolved and unpacked without running its code.

`mmdebstrap --variant=extract` resolves dependencies and checks signatures with this
machine's apt, then unpacks; maintainer scripts never run. What comes out is a plain tar
with sorted members and clamped times, cached under the digest of its recipe.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yardarm import digest, paths, process
from yardarm.digest import Digest
from yardarm.errors import Unreachable, Unsupported
from yardarm.events import Sink, silent, step
from yardarm.store.lock import exclusive
from yardarm_wire.files import FILES

_RECIPE = 4
"""Raise it when the same packages are to be unpacked in another way."""

_PACKAGES = {"apt-get": "apt", "mmdebstrap": "mmdebstrap", "dpkg-deb": "dpkg"}
"""Programs to the packages that they are in."""

_UNREACHABLE = re.compile(
    r"Could not resolve|Could not connect|Connection (failed|timed out)|Temporary failure resolving"
)

_PARTS = ("", "-updates", "-security")

# Of documents also the links stay that say whose copyright file a package shares.
_EXCLUDED = ("/usr/share/doc/*/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
_INCLUDED = ("/usr/share/doc/*/copyright",)

# /bin, /sbin and /lib are links into /usr, as on every installed system since bookworm.
_MERGE_USR = """cd "$1" && mkdir -p usr/bin usr/sbin usr/lib && ln -s usr/bin usr/sbin usr/lib ."""

# dpkg itself is not run, so its list of packages is written from what was unpacked; "unpacked"
# is dpkg's own word for files in place without their maintainer scripts run. The sums say of which
# package a file is. The rest would carry this machine's mirror, name and resolver into the root.
_FINISH = """set -e
for package in "$1"/var/cache/apt/archives/*.deb; do
  dpkg-deb -f "$package"
  printf 'Status: install ok unpacked\\n\\n'
  name=$(dpkg-deb -f "$package" Package)
  dpkg-deb --ctrl-tarfile "$package" | tar -xO ./md5sums 2>/dev/null \
    > "$1/var/lib/dpkg/info/$name.md5sums" || :
done > "$1/var/lib/dpkg/status"
cd "$1/etc"
rm -f apt/sources.list hostname resolv.conf dpkg/dpkg.cfg.d/99mmdebstrap
"""


@dataclass(frozen=True)
class Root:
    """An unpacked system.

    Attributes:
        tar: uncompressed; member names start with "./", `dev` is left out. Treat it as read-only.
        packages: Debian package name to version, dependencies included.
        key: digest of the recipe (packages, suite, architecture), not of the tar.
    """

    tar: Path
    packages: Mapping[str, str]
    key: Digest


def root(
    packages: Sequence[str], *, suite: str, architecture: str = "arm64", sink: Sink = silent
) -> Root:
    """The root that holds `packages` and what they depend on, from the cache or made now.

    Args:
        packages: Debian package names; order does not matter.
        suite: a Debian codename such as "bookworm".

    Raises:
        Unsupported: no apt, no mmdebstrap, or apt has no Debian source.
        ProcessFailed: a package does not exist, or the mirror can't be reached.
        Busy: another process has been making the same root for ten minutes.
    """
    wanted = sorted(set(packages))
    key = digest.of_json([_RECIPE, suite, architecture, wanted])
    folder = paths.cache() / "debian" / digest.short(key)
    with step(sink, "debian", f"unpack Debian {suite}") as progress:
        with exclusive(folder.with_suffix(".lock"), f"unpacking Debian {suite}", wait=600):
            progress.cached = (folder / "packages.json").is_file()
            if not progress.cached:
                _make(folder, wanted, suite, architecture)
        found = json.loads((folder / "packages.json").read_bytes())
        progress.detail = f"{len(found)} packages"
    return Root(folder / "root.tar", found, key)


def sources(suite: str, index_targets: str) -> list[str]:
    """apt source lines for `suite`, out of what `apt-get indextargets` printed.

    apt itself has read both kinds of source files, and says only of archives whose signature
    it has checked what their Origin is: only Debian's own count. A machine of another Debian
    suite lends its mirrors.
    """
    found = set()
    for target in paragraphs(index_targets):
        part = _part(target.get("Release", ""))
        if part is not None and _is_debian(target):
            found.add(f"deb {target['Repo-URI']} {suite}{part} main")
    return sorted(found)


def _is_debian(target: Mapping[str, str]) -> bool:
    expected = {"Created-By": "Packages", "Component": "main", "Origin": "Debian"}
    return expected.items() <= target.items()


def _part(release: str) -> str | None:
    """What follows the codename, None where it is no part that a root is made from."""
    _, dash, rest = release.partition("-")
    return dash + rest if dash + rest in _PARTS else None


def parse_status(text: str) -> dict[str, str]:
    """Package name to version, from the text of dpkg's status file."""
    return {entry["Package"]: entry["Version"] for entry in paragraphs(text)}


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Single-line fields of deb822 paragraphs; continuation lines are skipped."""
    for block in text.split("\n\n"):
        lines = (line.partition(":") for line in block.splitlines() if not line.startswith(" "))
        fields = {name: value.strip() for name, colon, value in lines if colon}
        if fields:
            yield fields


def _make(folder: Path, packages: list[str], suite: str, architecture: str) -> None:
    """Make `folder` in a staging folder beside it, and rename it into place when complete."""
    lines = configured(suite, ("apt-get", "mmdebstrap"))
    for left in folder.parent.glob(f"{folder.name}.staging-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f"{folder.name}.staging-", ignore_cleanup_errors=True
    ) as staging:
        made = Path(staging) / "made"
        made.mkdir()
        _extract(made, packages, suite, architecture, lines)
        FILES.rename_tree(str(made), str(folder))


def configured(suite: str, needed: Sequence[str] = ("apt-get",)) -> list[str]:
    """apt source lines of Debian's mirrors that this machine is told of.

    Args:
        needed: programs that have to be here.

    Raises:
        Unsupported: a program is missing, or apt has no Debian source.
    """
    for program in needed:
        if shutil.which(program) is None:
            raise Unsupported(
                f"{program} is not installed; Debian packages are unpacked on Debian only",
                where=platform.system(),
                hint=f"apt-get install {_PACKAGES[program]}; elsewhere lay the image on a base "
                "of a registry: [image] base",
            )
    found = sources(suite, process.run(["apt-get", "indextargets"]).text)
    if not any(line.endswith(f" {suite} main") for line in found):
        raise Unsupported(
            f"apt knows no mirror of Debian's {suite}",
            where="`apt-get indextargets`",
            hint="`apt-get update`; on another system add a Debian mirror to apt's sources first, "
            "or lay the image on a base of a registry: [image] base",
        )
    return found


def _extract(
    made: Path, packages: list[str], suite: str, architecture: str, lines: list[str]
) -> None:
    tar, hook = made / "root.tar", made.parent / "finish"
    hook.write_text("#!/bin/sh\n" + _FINISH, encoding="utf-8")
    hook.chmod(0o755)
    scratch = made.parent / "scratch"
    scratch.mkdir(mode=0o755)
    try:
        process.run(
            command(packages, suite, architecture, hook, tar),
            stdin="\n".join(lines).encode() + b"\n",
            timeout=900,
            env={"SOURCE_DATE_EPOCH": "0", "LC_ALL": "C.UTF-8", "TMPDIR": str(scratch)},
        )
    except process.ProcessFailed as error:
        raise unreachable(error.hint) or error from None
    listed = process.run(["tar", "-xOf", str(tar), "./var/lib/dpkg/status"]).text
    text = json.dumps(parse_status(listed), indent=1, sort_keys=True)
    (made / "packages.json").write_text(text, encoding="utf-8")


def unreachable(reason: str) -> Unreachable | None:
    """apt's last words as an error of ours, where they speak of the network."""
    if not _UNREACHABLE.search(reason):
        return None
    errors = [line[3:] for line in reason.splitlines() if line.startswith("E: ")]
    return Unreachable("the Debian mirror can't be reached", hint="\n".join(errors[-3:]))


def command(
    packages: Sequence[str], suite: str, architecture: str, hook: Path, tar: Path
) -> list[str]:
    """The mmdebstrap command that reads apt sources from stdin and writes `tar`."""
    return [
        "mmdebstrap",
        "--variant=extract",
        f"--architectures={architecture}",
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
        *(f"--dpkgopt=path-include={pattern}" for pattern in _INCLUDED),
        f"--setup-hook={_MERGE_USR}",
        f"--extract-hook={hook}",
        "--skip=output/dev",
        "--format=tar",
        suite,
        str(tar),
        "-",
    ]
