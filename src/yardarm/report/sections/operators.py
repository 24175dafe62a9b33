"""What int8 costs and gives: operator times of the result against fp32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from yardarm.report import figures, reading
from yardarm.report.charts import frame, stack
from yardarm.report.figures import Unit
from yardarm.report.page import Picture, Section, Table, table, tables

SHOWN = 12
NOT_THE_DEVICES = "not the device's"
PARTS = ("computing in int8", "computing in fp32", "converting", "unpacking weights")

Json = Mapping[str, Any]


def section(explanation: Json) -> Section:
    found = reading.mapping(explanation.get("operators"))
    nodes = list(reading.mappings(found.get("nodes")))
    if not nodes:
        return Section("operators", "Operator times")
    mark = _mark(found)
    return Section(
        "operators",
        "Operator times",
        mark=mark,
        notes=tuple(_notes(found)),
        pictures=(_picture(nodes, mark),),
        tables=tables(*_tables(nodes, mark), _islands(found, mark)),
    )


def _mark(found: Json) -> str:
    if found.get("emulated") is not False:
        return frame.EMULATED
    return NOT_THE_DEVICES if NOT_THE_DEVICES in reading.text(found.get("where")) else ""


def _notes(found: Json) -> Iterator[str]:
    said = reading.text(found.get("verdict"))
    yield said[:1].upper() + said[1:]
    before, after = (reading.number(found.get(key)) for key in ("fp32_us", "written_us"))
    unit = figures.duration(after)
    where = reading.text(found.get("where"))
    times = f"One inference takes {unit(before)} in fp32 and {unit(after)} as written"
    yield f"{times} ({where})." if where else f"{times}."


def _picture(nodes: Sequence[Json], mark: str) -> Picture:
    sums = dict.fromkeys(PARTS, 0.0)
    for node in nodes:
        computing = PARTS[0] if node.get("runs") == "int8" else PARTS[1]
        sums[computing] += _us(node, "compute_us")
        sums[PARTS[2]] += _us(node, "convert_us")
        sums[PARTS[3]] += _us(node, "unpack_us")
    before = {PARTS[0]: 0.0, PARTS[1]: sum(_us(node, "fp32_us") for node in nodes)}
    totals = [stack.Total("in fp32", before), stack.Total("as written", sums)]
    unit = figures.duration(max(total.whole for total in totals))
    drawing = stack.draw("operators-stack", "Where the time goes", totals, unit, mark=mark)
    note = "Sums of the kernels' times; the profiler itself adds a little to each."
    return Picture(drawing, "Where the time goes", note, legend=PARTS)


def _tables(nodes: Sequence[Json], mark: str) -> Iterator[Table]:
    dearer = [node for node in nodes if _us(node, "extra_us") > 0]
    shown = dearer[:SHOWN]
    yield _costs(f"What costs more than in fp32, the first {len(shown)}, in µs", shown, mark)
    yield _costs(f"All operators ({len(nodes)}), in µs", nodes, mark, folded=True)


def _costs(caption: str, nodes: Sequence[Json], mark: str, *, folded: bool = False) -> Table:
    unit = Unit("µs", 1, 0)
    rows = [
        [
            _span(node.get("nodes")),
            " + ".join(map(reading.text, reading.sequence(node.get("ops")))),
            reading.text(node.get("runs")),
            *(unit.bare(_us(node, key)) for key in ("fp32_us", "written_us")),
            unit.bare(_us(node, "convert_us") + _us(node, "unpack_us")),
        ]
        for node in nodes
    ]
    headings = ("node", "operators", "in", "fp32", "now", "converting")
    return table(caption, headings, rows, figures=(3, 4, 5), folded=folded, mark=mark)


def _islands(found: Json, mark: str) -> Table:
    rows = [
        [
            _span(island.get("nodes")),
            figures.whole(len(reading.sequence(island.get("nodes")))),
            figures.whole(_us(island, "compute_us")),
            figures.whole(_us(island, "convert_us")),
        ]
        for island in reading.mappings(found.get("islands"))
    ]
    headings = ("from … to", "nodes", "computing", "converting")
    caption = f"Islands of fp32 between int8 ({len(rows)}), in µs"
    return table(caption, headings, rows, figures=(1, 2, 3), folded=len(rows) > SHOWN, mark=mark)


def _span(names: Any) -> str:
    held = [reading.text(name) for name in reading.sequence(names)]
    return held[0] if len(held) == 1 else f"{held[0]} … {held[-1]}" if held else ""


def _us(body: Json, key: str) -> float:
    return reading.number(body.get(key)) or 0.0
