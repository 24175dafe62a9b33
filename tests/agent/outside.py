"""Plays `unshare … chroot …` for the real runtime where tests may not mount: paths of the
release's root are those of the device that would be mounted there."""

from __future__ import annotations

import json
import os
import sys

words = sys.argv[sys.argv.index("yardarm") + 2 :]
cut = words.index("--")
mounts = {
    f"/{target}": source for source, target in zip(words[1:cut:3], words[2:cut:3], strict=True)
}
arguments = words[words.index("program") + 1 :]


def outside(word: str) -> str:
    for target, source in mounts.items():
        if word == target or word.startswith(f"{target}/"):
            return source + word[len(target) :]
    return word


with open(os.environ["YARDARM_FAKES"]) as stream:  # noqa: PTH123
    environment = {**os.environ, **json.load(stream)}
argv = [sys.executable, "-m", "yardarm_runtime", *map(outside, arguments)]
os.execve(sys.executable, argv, environment)
