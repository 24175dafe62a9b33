"""An image built from nothing, downloads included, and again when all is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cost
from figures import Bar, Hand

ROUNDS = 5


def bench_image(benchmark: Any, figure: Hand, program: Path, example: Path, tmp_path: Path) -> None:
    fresh = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "YARDARM_STORE": str(tmp_path / "store")}
    build = [program, "image", "--project", example, "--profile", "raspberry-pi-5"]
    cold = cost.of(build, env=fresh)
    warm: list[float] = []
    benchmark.pedantic(lambda: warm.append(cost.of(build, env=fresh).wall), rounds=ROUNDS)
    figure("image/cold", cold.wall, "s", Bar("value", 60))
    figure("image/cold-peak", cold.peak_mb, "MB", Bar("value", 500))
    figure("image/warm", min(warm), "s", Bar("value", 0.5))
