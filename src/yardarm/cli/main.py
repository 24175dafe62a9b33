"""The `yardarm` program: what becomes of errors and signals."""

from __future__ import annotations

import sys
from typing import NoReturn

from yardarm.cli import signals


def main() -> NoReturn:
    """Run the command line and exit with the documented code.

    Signals are taken over before anything else is loaded, which takes most of a second.
    """
    try:
        signals.install()
        code = _run()
    except BaseException as error:  # noqa: BLE001  a signal may come out as anything
        code = 0 if signals.received() else _told(error)
    signals.release()
    number = signals.received()
    if number:
        sys.stderr.write(f"{signals.word(number)}\n")
        code = 128 + number
    sys.exit(code)


def _run() -> int:
    from yardarm.cli.app import app

    return app(standalone_mode=False) or 0  # a verb that leaves by typer.Exit: its code


def _told(error: BaseException) -> int:
    """Tell what the user can act on; anything else is a bug and keeps its trace."""
    from yardarm.cli import console, system
    from yardarm.errors import UsageError, YardarmError

    if isinstance(error, OSError):
        error = system.as_error(error)
    if isinstance(error, YardarmError):
        console.complain(error, as_json="--json" in sys.argv)
        return error.exit_code
    show = getattr(error, "show", None)  # click's usage errors, by duck type
    if show is not None and "--json" in sys.argv:
        console.complain(UsageError(str(error), hint="--help tells how"), as_json=True)
    elif show is not None:
        show()
    elif not hasattr(error, "exit_code"):  # typer.Exit has one
        raise error
    return int(getattr(error, "exit_code", 2))
