"""Files of the kernel that hold one number each."""

from __future__ import annotations

import glob
from typing import List, Sequence, Tuple


def readings(patterns: Sequence[str]) -> List[Tuple[str, int]]:
    """Path and number of each sensor that answers. Some answer only at times: a zone that
    is powered down, a core that is offline.

    Raises:
        OSError, ValueError: there are sensors, and none of them answers.
    """
    found: List[Tuple[str, int]] = []
    failed: List[Exception] = []
    for path in sorted({path for pattern in patterns for path in glob.glob(pattern)}):
        try:
            with open(path) as stream:
                found.append((path, int(stream.read())))
        except (OSError, ValueError) as error:
            failed.append(error)
    if failed and not found:
        raise failed[0]
    return found
