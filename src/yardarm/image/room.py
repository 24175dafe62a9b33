"""A full disk, told as an error that a user can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yardarm.errors import YardarmError


@contextmanager
def enough_room(where: Path) -> Iterator[None]:
    """Raise YardarmError naming `where` when what is inside runs out of disk or quota."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise no_room(error.filename or where) from None


def no_room(where: Path | str) -> YardarmError:
    return YardarmError(
        "no space left on the disk",
        where=str(where),
        hint="an image takes about 125 MB in the store and 165 MB in the user's cache",
    )
