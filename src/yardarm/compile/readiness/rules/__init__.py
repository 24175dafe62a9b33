"""Every rule of the check, in the order in which people look for reasons."""

from yardarm.compile.readiness.findings import Rule
from yardarm.compile.readiness.rules import (
    limits,
    low_bits,
    numbers,
    operators,
    placement,
    quantization,
    ranges,
    settings,
    types,
)

RULES: tuple[Rule, ...] = (
    *operators.RULES,
    *types.RULES,
    *ranges.RULES,
    *quantization.RULES,
    *low_bits.RULES,
    *settings.RULES,
    *limits.RULES,
    *numbers.RULES,
    *placement.RULES,
)
