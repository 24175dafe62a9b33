"""Every error that a user can meet, with its exit code.

    YardarmError            1    unexpected; carries what, where and what to try
    ├── UsageError          2    the command line makes no sense
    ├── InvalidInput        3    project, profile, model or data are not valid
    ├── BudgetNotMet        4    the compiled model misses the project's budget
    ├── GateFailed          5    a measured figure misses its bar
    ├── Unreachable         6    the device can't be reached or won't let us in
    ├── Refused             7    the device refused, or does not fit
    ├── VerificationFailed  8    digest, signature, parity or health check failed
    ├── Unsupported        10    model, operator or requirement has no way onto the target
    ├── Undecided          11    the data don't allow a verdict; says how much would
    └── Busy               12    somebody else holds the lock; the owner is named

Exit codes 129, 130 and 143 are a hang-up, an interrupt and a termination.
"""

from __future__ import annotations


class YardarmError(Exception):
    """An error that a user can act on.

    Args:
        what: what went wrong, one sentence without a full stop.
        where: the file, key path, host or step that it concerns.
        hint: what to try next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class UsageError(YardarmError):
    exit_code = 2


class InvalidInput(YardarmError):
    exit_code = 3


class BudgetNotMet(YardarmError):
    exit_code = 4


class GateFailed(YardarmError):
    exit_code = 5


class Unreachable(YardarmError):
    exit_code = 6


class Refused(YardarmError):
    exit_code = 7


class VerificationFailed(YardarmError):
    exit_code = 8


class Unsupported(YardarmError):
    exit_code = 10


class Undecided(YardarmError):
    exit_code = 11


class Busy(YardarmError):
    exit_code = 12


HUNG_UP = 129
INTERRUPTED = 130
TERMINATED = 143
