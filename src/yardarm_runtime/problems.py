"""The one error that the runtime's verbs report: a line of JSON on stderr, no traceback."""

from __future__ import annotations

UNEXPECTED = 1
INVALID = 3
MISMATCH = 8


class Problem(Exception):
    """Something that was handed in can't be used: bundle, plan, data or request."""


class Broken(Problem):
    """The device failed while it worked: the same process will hardly get another answer."""
