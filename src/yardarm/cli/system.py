"""What the operating system refuses, as an error that a user can act on."""

from __future__ import annotations

import errno
import os

from yardarm.errors import InvalidInput, YardarmError

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
MISPLACED = (
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV),
)


def as_error(error: OSError) -> YardarmError:
    """The error to tell. What is wrong with a path is the user's to change: InvalidInput."""
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    what = (error.strerror or str(error) or type(error).__name__).rstrip(".")
    if error.errno in FULL:
        return YardarmError(
            what,
            where=where,
            hint="make room there, or use another disk: $YARDARM_STORE and $XDG_CACHE_HOME say "
            "where files are kept",
        )
    if error.errno in FORBIDDEN:
        return InvalidInput(what, where=where, hint="name a place that you may write to")
    if error.errno in MISPLACED:
        return InvalidInput(what, where=where, hint="check the path")
    return YardarmError(what, where=where)
