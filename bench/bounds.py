"""Exact 95 % bounds of shares and rates that were counted (Clopper and Pearson 1934; Garwood 1936)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

_TAIL: Final = 0.025
_STEPS: Final = 60


def binomial(found: int, of: int) -> tuple[float, float]:
    """Return the bounds of a probability of which ``found`` in ``of`` trials were seen."""
    if not of:
        return 0.0, 1.0
    low = 0.0 if not found else _root(lambda p: 1 - _binomial_below(found, of, p), 0.0, 1.0)
    high = 1.0 if found == of else _root(lambda p: 1 - _binomial_below(found + 1, of, p), 0.0, 1.0, 1 - _TAIL)
    return low, high


def poisson(count: int) -> tuple[float, float]:
    """Return the bounds of the mean of which ``count`` events were seen."""
    most = count + 10 * math.sqrt(count + 1) + 10
    low = 0.0 if not count else _root(lambda mean: 1 - _poisson_below(count, mean), 0.0, most)
    return low, _root(lambda mean: 1 - _poisson_below(count + 1, mean), 0.0, most, 1 - _TAIL)


def _root(rising: Callable[[float], float], low: float, high: float, level: float = _TAIL) -> float:
    """Return where a rising function passes a level."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2


def _binomial_below(found: int, of: int, p: float) -> float:
    """Return the probability of fewer than ``found`` in ``of``."""
    if p <= 0 or p >= 1:
        return float(p <= 0)
    logs = (
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(p) + (of - k) * math.log1p(-p)
        for k in range(found)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def _poisson_below(count: int, mean: float) -> float:
    if mean <= 0:
        return 1.0
    return min(1.0, math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count)))
