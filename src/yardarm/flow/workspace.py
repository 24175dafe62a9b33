"""What nearly every verb begins with: the project, the profile, the store, the lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yardarm import paths, profiles, project
from yardarm.errors import UsageError
from yardarm.profiles import Profile
from yardarm.project import Project
from yardarm.store import Store, exclusive


@dataclass(frozen=True)
class Workspace:
    """A project, the profile it is worked on for, and the store that holds the results."""

    project: Project
    profile: Profile
    store: Store


@contextmanager
def workspace(where: Path, profile: str | None, purpose: str) -> Iterator[Workspace]:
    """Open a project for work and hold its lock meanwhile.

    Args:
        where: yardarm.toml or its folder.
        profile: a device profile's name; required.
        purpose: what is being done, for whoever finds the lock held.

    Raises:
        UsageError: no profile given.
        InvalidInput: project or profile not valid.
        Busy: another process works in this project.
        OSError: the project's folder can't be written.
    """
    opened = project.load(where)
    if profile is None:
        raise UsageError("no device profile is given", hint="add --profile, such as raspberry-pi-5")
    chosen = profiles.load(profile, opened.root)
    store = Store(paths.store(opened.root))
    with exclusive(own_folder(opened.root) / "lock", purpose):
        yield Workspace(opened, chosen, store)


def own_folder(root: Path) -> Path:
    """`.yardarm` in a project's folder, which git is told to leave alone."""
    folder = root / ".yardarm"
    folder.mkdir(exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    return folder
