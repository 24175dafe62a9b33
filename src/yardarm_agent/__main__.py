"""`python3 -I -S agent.pyz session|supervisor|telemetry --root DIR`."""

from __future__ import annotations

import os
import sys
from typing import List

from yardarm_agent.layout import Layout

USAGE = "usage: agent.pyz session|supervisor|telemetry --root DIR\n"


def main(arguments: List[str]) -> int:
    if len(arguments) != 3 or arguments[1] != "--root":
        sys.stderr.write(USAGE)
        return 2
    layout = Layout(os.path.abspath(arguments[2]))
    try:
        layout.prepare()
    except OSError as error:
        sys.stderr.write("can't prepare %s: %s\n" % (layout.root, error))
        return 1
    if arguments[0] == "session":
        from yardarm_agent import session

        return session.serve(layout, sys.stdin.buffer, sys.stdout.buffer)
    if arguments[0] == "supervisor":
        from yardarm_agent import supervisor

        return supervisor.supervise(layout)
    if arguments[0] == "telemetry":
        from yardarm_agent import telemetry

        return telemetry.run(layout)
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
