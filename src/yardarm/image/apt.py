"""Debian packages for another architecture, chosen by apt's own solver on top of a base.

This machine's apt works in folders of its own, with the base's packages as installed ones.
Nothing is installed and no script of a package is run.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yardarm import debian, digest, paths, process
from yardarm.errors import Unreachable, Unsupported
from yardarm.events import Sink, silent, step
from yardarm.process import ProcessFailed
from yardarm.store import exclusive
from yardarm_wire.files import FILES

_RECIPE = 1

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_CONFIGURATION = """
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
"""


@dataclass(frozen=True)
class Package:
    """A package of Debian that was fetched: `file` is its .deb, treat it as read-only."""

    name: str
    version: str
    file: Path


def fetch(
    wanted: Sequence[str], installed: Mapping[str, str], *, suite: str, sink: Sink = silent
) -> tuple[Package, ...]:
    """`wanted` and what they depend on, as far as it is not installed; from the cache or made
    now.

    Args:
        installed: name to version of what the base has.
        suite: a Debian codename such as "bookworm".

    Raises:
        Unsupported: no apt, or no source of Debian in it; a package does not exist; the base
            has another version than is needed.
        Unreachable: the mirror can't be reached.
    """
    key = digest.of_json([_RECIPE, suite, sorted(wanted), dict(installed)])
    folder = paths.cache() / "packages" / digest.short(key)
    with step(sink, "image/packages", f"Debian packages of {suite}") as progress:
        with exclusive(folder.with_suffix(".lock"), "fetching Debian packages", wait=600):
            progress.cached = (folder / "packages.json").is_file()
            if not progress.cached:
                _fetch(folder, wanted, installed, suite)
        found = json.loads((folder / "packages.json").read_bytes())
        progress.detail = f"{len(found)} packages"
    return tuple(Package(each[0], each[1], folder / each[2]) for each in found)


def _fetch(folder: Path, wanted: Sequence[str], installed: Mapping[str, str], suite: str) -> None:
    lines = debian.configured(suite, ("apt-get", "dpkg-deb"))
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as text:
        work = Path(text)
        _prepare(work, lines, installed)
        _apt(work, "update", "--error-on=any")
        _apt(work, "install", "--yes", "--download-only", "--no-remove", *sorted(wanted))
        archives = work / "cache/archives"
        new = list(_new(archives.glob("*.deb"), installed))
        body = json.dumps([[name, version, file.name] for name, version, file in new])
        (archives / "packages.json").write_text(body, encoding="utf-8")
        (archives / "partial").rmdir()
        FILES.rename_tree(str(archives), str(folder))


def _prepare(work: Path, lines: Iterable[str], installed: Mapping[str, str]) -> None:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    signed = f"deb [signed-by={_KEYRING}]" if _KEYRING.exists() else "deb"
    sources = (line.replace("deb", signed, 1) for line in lines)
    (work / "sources.list").write_text("\n".join([*sources, ""]), encoding="utf-8")
    (work / "status").write_text(status(installed), encoding="utf-8")
    own = process.run(["apt-config", "dump"]).text.splitlines()
    reached = [line for line in own if re.match(r"Acquire::(https?|ftp)::", line)]
    settings = "\n".join([_CONFIGURATION.format(folder=work), *reached, ""])
    (work / "apt.conf").write_text(settings, encoding="utf-8")


def status(installed: Mapping[str, str]) -> str:
    """dpkg's list of a base's packages for apt's solver: all of them are there, and need nothing
    that isn't."""
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n"
        "Architecture: arm64\nMulti-Arch: foreign\n\n"
        for name, version in sorted(installed.items())
    )


def _apt(work: Path, *words: str) -> None:
    environment = {"APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C.UTF-8"}
    try:
        process.run(["apt-get", "--quiet", *words], env=environment, timeout=900)
    except ProcessFailed as error:
        raise failure(error.hint) from None


def failure(reason: str) -> Unsupported | Unreachable:
    """apt's last words as an error of ours."""
    if away := debian.unreachable(reason):
        return away
    errors = [line[3:] for line in reason.splitlines() if line.startswith("E: ")]
    return Unsupported(
        "Debian packages can't be put on this base",
        where="[image] packages",
        hint="\n".join(errors or [reason]),
    )


def _new(files: Iterable[Path], installed: Mapping[str, str]) -> Iterable[tuple[str, str, Path]]:
    """Those that the base lacks. apt fetches an installed one anew where it knows too little
    of it."""
    for file in sorted(files):
        (found,) = debian.paragraphs(process.run(["dpkg-deb", "-f", str(file)]).text)
        name, version = found["Package"], found["Version"]
        if name not in installed:
            yield name, version, file
        elif installed[name] != version:
            raise Unsupported(
                f"the base has {name} {installed[name]}, and {version} is needed",
                where="[image] packages",
                hint="renew the base, or leave out the package that needs it",
            )
