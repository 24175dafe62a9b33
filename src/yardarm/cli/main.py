"""The `yardarm` program: its verbs, and what becomes of errors and signals."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from yardarm.cli import console
from yardarm.cli.verbs import (
    bench,
    compile,
    deploy,
    detect,
    doctor,
    image,
    init,
    lab,
    profiles,
    report,
    ship,
    telemetry,
)
from yardarm.errors import INTERRUPTED, TERMINATED, YardarmError

app = typer.Typer(
    name="yardarm",
    help="Take a model to ARM devices, and prove that it works there.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for verb in (
    bench,
    compile,
    deploy,
    detect,
    doctor,
    image,
    init,
    lab,
    profiles,
    report,
    ship,
    telemetry,
):
    verb.register(app)


class _Terminated(BaseException):
    """SIGTERM, raised where it hit, so that every `finally` and `with` runs."""


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False) or 0  # a verb that leaves by typer.Exit: its code
    except YardarmError as error:
        console.complain(error, as_json="--json" in sys.argv)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        code = INTERRUPTED
    except _Terminated:
        sys.stderr.write("terminated\n")
        code = TERMINATED
    except typer.Exit as leave:
        code = leave.exit_code
    except Exception as error:  # noqa: BLE001  click's own usage errors, by duck type
        code = _usage(error)
    sys.exit(code)


def _usage(error: Exception) -> int:
    """Click's errors carry a `show` and a code; anything else is a bug and keeps its trace."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return int(getattr(error, "exit_code", 2))


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated
