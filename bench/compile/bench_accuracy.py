"""What real models lose by the default compile, beside onnxruntime's static int8.

A claim is the upper end of the drop's 95 % interval, on samples that the compiler did not
see; for watch on the evaluation set, with errors that depend on one another within a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

import cost
from figures import Bar, Hand
from real_models import claims, fashion, mnist, text_angle, watch
from real_models import faces as faces_
from yardarm import project
from zoo import peer
from zoo.subject import size

PEER = "onnxruntime MinMax"


@dataclass(frozen=True)
class Compiled:
    """A compiled project, and what that took."""

    opened: project.Project
    written: Path
    spent: cost.Cost


def bench_text_angle(figure: Hand, program: Path, tmp_path: Path) -> None:
    made = _compiled(text_angle.prepare(), program, tmp_path)
    _claim(figure, made, 0.002, text_angle.held_out())
    _size(figure, made, 0.40)
    figure("compile/text-angle-search", made.spent.wall, "s", Bar("value", 120))


@pytest.mark.parametrize("subject", [mnist, fashion], ids=["mnist", "fashion"])
def bench_pictures(subject: object, figure: Hand, program: Path, tmp_path: Path) -> None:
    made = _compiled(subject.prepare(), program, tmp_path)
    _claim(figure, made, 0.005, claims.held_out(made.opened))
    _size(figure, made, 0.40)


def bench_watch(figure: Hand, program: Path, tmp_path: Path) -> None:
    made = _compiled(watch.prepare(), program, tmp_path)
    _claim(figure, made, 0.01, claims.held_out(made.opened))
    _size(figure, made, 0.40)


def bench_faces(figure: Hand, program: Path, tmp_path: Path) -> None:
    """A smoke test: with 100 pictures an unchanged model has an upper end of 0.037."""
    made = _compiled(faces_.prepare(), program, tmp_path)
    _claim(figure, made, 0.05, claims.held_out(made.opened))


def _compiled(folder: Path, program: Path, scratch: Path) -> Compiled:
    target = scratch / "out"
    chosen = ["--project", folder, "--profile", "raspberry-pi-5", "--output", target]
    spent = cost.of([program, "compile", *chosen], env={"YARDARM_STORE": str(scratch / "store")})
    return Compiled(project.load(folder), target / "model.onnx", spent)


def _claim(figure: Hand, made: Compiled, bar: float, feeds: Iterable[claims.Arrays]) -> None:
    plain = peer.quantize(made.opened, made.written.with_name("plain.onnx"))
    told = claims.compared(made.opened, {"ours": made.written, "plain": plain}, feeds)
    beside = (PEER, told["plain"].drop.high)
    figure(f"{_name(made)}-drop", told["ours"].drop.high, "share", Bar("value", bar), beside)


def _size(figure: Hand, made: Compiled, share: float) -> None:
    source = size(made.opened.path(made.opened.model.source))
    written = made.written.stat().st_size
    figure(f"{_name(made)}-size", written, "bytes", Bar("ratio", share), ("fp32", source))


def _name(made: Compiled) -> str:
    return f"compile/{made.opened.name}"
