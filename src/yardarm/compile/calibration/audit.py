"""Was the calibration set large enough? Told from the statistics of its one pass alone.

Every sample belongs to a portion of the set (`observed.PORTION_OF`). The range that a rule
chooses from an eighth, a quarter and half of the samples is held against that from all; and
what the range from seven eighths cuts off is counted on the eighth that was held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from yardarm.compile.calibration.observed import PORTIONS, Observed
from yardarm.compile.calibration.ranges import Range, Rule

# A range that is a tenth too wide makes its steps a tenth coarser: 0.8 dB more noise.
TOLERANCE = 0.1
FEWEST = 16  # samples of which half and the other half can be told apart
SHARES = {"1/8": 1, "1/4": 2, "1/2": 3}  # the first portions together
HALF = "1/2"
USED, HELD_OUT = slice(0, PORTIONS - 1), slice(PORTIONS - 1, PORTIONS)


def audit(observed: Mapping[str, Observed], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """
    Args:
        rules: by what rule each tensor got its range; others are not asked how they settle.

    Returns:
        JSON: `samples` of the set; `enough`, null where that can't be told; `verdict`, a sentence
        for people; `tolerance`, the move that is still taken for settled; by tensor name under
        `tensors` how far the range moves on the way to all samples, as a share of its width
        (`settling`: "1/8", "1/4", "1/2"; null without samples), and the share of values that it
        cuts off (`saturation`: `used`, `held_out`); under `dead`, by tensor, the numbers of the
        channels that had the same value throughout. A tensor seen under two names is told once.
    """
    known = _distinct(observed)
    samples = max((int(seen.samples.sum()) for seen in known.values()), default=0)
    tensors = {name: _tensor(seen, rules[name]) for name, seen in known.items() if name in rules}
    enough, verdict = _verdict(samples, tensors)
    return {
        "samples": samples,
        "enough": enough,
        "verdict": verdict,
        "tolerance": TOLERANCE,
        "tensors": tensors,
        "dead": {name: sorted(seen.still) for name, seen in known.items() if seen.still},
    }


def _distinct(observed: Mapping[str, Observed]) -> dict[str, Observed]:
    firsts: dict[int, str] = {}
    for name, seen in observed.items():
        firsts.setdefault(id(seen), name)
    return {name: observed[name] for name in firsts.values() if observed[name].finite}


def _tensor(seen: Observed, rule: Rule) -> dict[str, Any]:
    whole = rule(seen)
    parts = {share: seen.portion(slice(0, count)) for share, count in SHARES.items()}
    used, held_out = seen.portion(USED), seen.portion(HELD_OUT)
    chosen = rule(used) if used.count else None
    return {
        "settling": {share: _moved(part, rule, whole) for share, part in parts.items()},
        "saturation": {
            "used": _outside(used, chosen),
            "held_out": _outside(held_out, chosen),
        },
    }


def _moved(part: Observed, rule: Rule, whole: Range) -> float | None:
    if not part.count:
        return None
    low, high = rule(part)
    farthest = max(abs(low - whole[0]), abs(high - whole[1]))
    return _rounded(farthest / (whole[1] - whole[0])) if farthest else 0.0


def _outside(seen: Observed, chosen: Range | None) -> float | None:
    """The share of counted values outside; a bin is, where its middle is."""
    if chosen is None or not seen.count:
        return None
    histogram = seen.histogram
    middles = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    width = np.ldexp(1.0, histogram.exponent)
    beyond = (middles < chosen[0] - width / 2) | (middles > chosen[1] + width / 2)
    return _rounded(histogram.counts[beyond].sum() / histogram.counts.sum())


def _rounded(share: float) -> float:
    return float(f"{share:.4g}")


def _verdict(samples: int, tensors: Mapping[str, Any]) -> tuple[bool | None, str]:
    if not tensors:
        return None, "no tensor has a range"
    if samples < FEWEST:
        return None, f"{samples} samples are too few to tell whether they are enough"
    moves = {name: tensor["settling"][HALF] or 0.0 for name, tensor in tensors.items()}
    worst = max(moves, key=lambda name: moves[name])
    if moves[worst] <= TOLERANCE:
        return True, (
            f"{samples} samples are enough: no range moves by more than"
            f" {moves[worst]:.0%} between half of them and all"
        )
    moving = sum(move > TOLERANCE for move in moves.values())
    return False, (
        f"{samples} samples are not enough: the range of {worst} still moves by"
        f" {moves[worst]:.0%} between half of them and all"
        f" ({moving} of {len(moves)} ranges by more than {TOLERANCE:.0%})"
    )
