"""One sentence that says why int8 helped, or why it didn't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from yardarm.compile.explaining.profiling import Cost, Profile

ALIKE = 0.03
"""Times that lie closer together are called equal."""

SMALL = 0.10
"""A share of the time below this is not the cause of anything."""


def verdict(profile: Profile, fp32_us: float, written_us: float) -> str:
    """Args:
    fp32_us, written_us: time of one whole inference, unprofiled.
    """
    head = _head(fp32_us, written_us)
    if not any(cost.runs == "int8" for cost in profile.costs):
        return f"{head}: no node computes in int8."
    slower = written_us >= fp32_us * (1 - ALIKE)
    reasons = [_dearer(profile), _converting(profile)] if slower else [_converting(profile)]
    told = [words for us, words in sorted(reasons, reverse=True) if us]
    return ": ".join([head, *([" and ".join(told)] if told else [])]) + "."


def _head(fp32_us: float, written_us: float) -> str:
    change = written_us / fp32_us - 1 if fp32_us else 0.0
    if abs(change) < ALIKE:
        return "int8 is as fast as fp32"
    if change >= 1:
        return f"int8 takes {change + 1:.1f} times as long as fp32"
    return f"int8 is {abs(change):.0%} {'slower' if change > 0 else 'faster'} than fp32".replace(
        "%", " %"
    )


def _converting(profile: Profile) -> tuple[float, str]:
    """Microseconds, and what to say of them; 0 where they are no cause."""
    whole = sum(cost.written_us for cost in profile.costs) or 1.0
    changed = [cost for cost in profile.costs if cost.convert_us + cost.unpack_us]
    spent = sum(cost.convert_us + cost.unpack_us for cost in changed)
    around = [cost for cost in changed if cost.runs == "fp32"]
    said = f"{_percent(spent / whole)} of the whole time is converting between int8 and float"
    if around:
        said += f" around {_nodes(around)} in float ({_operators(around)})"
    return (spent if spent >= SMALL * whole else 0.0), said


def _dearer(profile: Profile) -> tuple[float, str]:
    """The same of nodes that compute in int8, and take longer so."""
    costs = [c for c in profile.costs if c.runs == "int8" and c.compute_us > c.fp32_us]
    lost = {cost.nodes[0]: cost.compute_us - cost.fp32_us for cost in costs}
    if not lost:
        return 0.0, ""
    count = sum(len(cost.nodes) for cost in costs)
    worst = max(lost, key=lambda name: lost[name])
    what = "node computes" if count == 1 else "nodes compute"
    return sum(lost.values()), (
        f"{count} {what} more slowly in int8 than in float, most of all {worst}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _nodes(costs: Sequence[Cost]) -> str:
    count = sum(len(cost.nodes) for cost in costs)
    return f"{count} node{'s' if count > 1 else ''} that compute{'' if count > 1 else 's'}"


def _operators(costs: Sequence[Cost], most: int = 3) -> str:
    counts = Counter(op for cost in costs for op in cost.ops)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count} {op}" for op, count in ranked[:most]]
    return ", ".join([*shown, *(["…"] if len(ranked) > most else [])])
