"""Errors that the agent reports to the host, which raises its own class of that name."""

from __future__ import annotations

from typing import Dict

LONGEST = 8000
"""Characters of each part that cross the wire: a release's last words have no bound."""


class Problem(Exception):
    """Base: what, where, and what to try. `kind` names the host's error class."""

    kind = "YardarmError"

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        Exception.__init__(self, what)
        self.what = what
        self.where = where
        self.hint = hint

    def as_json(self) -> Dict[str, str]:
        """For the header of a frame, in which it always fits."""
        parts = {"what": self.what, "where": self.where, "hint": self.hint}
        return dict({name: text[:LONGEST] for name, text in parts.items()}, kind=self.kind)


class Invalid(Problem):
    """The request makes no sense."""

    kind = "InvalidInput"


class Refusal(Problem):
    """The device won't do it: wrong class, older version, no room."""

    kind = "Refused"


class NotVerified(Problem):
    """A signature, digest or answer is wrong."""

    kind = "VerificationFailed"


class InUse(Problem):
    """Another session owns what is needed; it is named."""

    kind = "Busy"
