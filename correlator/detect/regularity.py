"""How regular times or sizes are, set against chance: a calibrated test, and how well the next one is guessed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from math import comb, e, exp, log, sqrt
from statistics import median
from typing import Final, NamedTuple

from correlator.detect.gap_table import CV_BY_GAPS, LONGEST_IN_MEDIANS, PROBABILITIES

LEAST: Final = min(CV_BY_GAPS)
"""Fewer values cannot be told from chance."""
_MOST: Final = max(CV_BY_GAPS)
_COUNTS: Final = sorted(CV_BY_GAPS)
_LEAST_PREFERRED: Final = 5
_ROUNDING: Final = 1 + 1e-9


class Regularity(NamedTuple):
    """How regular some values are."""

    number: int
    """Values that were looked at, the long ones left out."""
    median: float
    cv: float
    """Coefficient of variation: standard deviation divided by mean."""
    p: float
    """How often chance is as regular: exponential values, of one memoryless source."""


def gaps_of(starts: Iterable[int], merged: int) -> list[int]:
    """Return the gaps between ascending times, those less than ``merged`` after one that counts merged into it.

    ``merged`` is taken off each gap: what follows a memoryless source's start after a dead time is a dead time and
    an exponential gap, and without it merging alone would make frequent starts look regular.
    """
    kept: list[int] = []
    for start in starts:
        if not kept or start - kept[-1] >= merged:
            kept.append(start)
    return [later - earlier - merged for earlier, later in pairwise(kept)]


def regularity(values: Sequence[float]) -> Regularity | None:
    """Return how regular values are, those longer than five medians left out; None when too few are there to tell."""
    if len(values) < LEAST:
        return None
    middle = median(values)
    kept = [value for value in values if value <= LONGEST_IN_MEDIANS * middle]
    mean = sum(kept) / len(kept)
    if len(kept) < LEAST or mean <= 0:
        return None
    cv = sqrt(sum((value - mean) ** 2 for value in kept) / len(kept)) / mean
    return Regularity(len(kept), middle, cv, chance(len(kept), cv))


def chance(count: int, cv: float) -> float:
    """Return how often ``count`` exponential gaps vary by ``cv`` or less: 1 above 0.3, and 1e-5 for all below that.

    Between the numbers of gaps of the table the quantiles are interpolated; more gaps than it has count as its most.
    """
    quantiles, probabilities = _quantiles(min(count, _MOST)), PROBABILITIES
    if cv > quantiles[0]:
        return 1.0
    for place, (above, below) in enumerate(pairwise(quantiles)):
        if cv > below:
            share = (cv - below) / (above - below)
            upper, lower = log(probabilities[place]), log(probabilities[place + 1])
            return exp(lower + share * (upper - lower))
    return probabilities[-1]


@cache
def _quantiles(count: int) -> tuple[float, ...]:
    place = bisect_right(_COUNTS, count) - 1
    if place < 0:
        raise ValueError(f"{count} gaps; fewer than {LEAST} cannot be told from chance")
    below = _COUNTS[place]
    if below == count:
        return CV_BY_GAPS[count]
    above = _COUNTS[place + 1]
    share = (count - below) / (above - below)
    return tuple(low + share * (high - low) for low, high in zip(CV_BY_GAPS[below], CV_BY_GAPS[above], strict=True))


def bayes_bound(p: float) -> float:
    """Return the most that a p-value can say against chance, as a likelihood ratio (Sellke, Bayarri, Berger 2001)."""
    return 1 / (-e * p * log(p)) if p < 1 / e else 1.0


class Guesses(NamedTuple):
    """How often the next value was guessed from those before it."""

    tried: int
    hits: int

    @property
    def share(self) -> float:
        """The part that was guessed, 0..1."""
        return self.hits / self.tried if self.tried else 0.0


def guesses(
    series: Sequence[Sequence[float]], tolerance: float, least_share: float = 0.0, remembered: int = 8
) -> Guesses:
    """Guess each value of all series at once as the median of the last ones; a hit is near enough in every one.

    It stops guessing, and counts what is left as missed, when ``least_share`` of hits cannot be reached any more.
    """
    tried = max(min((len(values) for values in series), default=0) - 1, 0)
    missed, bearable = 0, tried * (1 - least_share)
    for place in range(1, tried + 1):
        if not all(_near(values[place], values[max(0, place - remembered) : place], tolerance) for values in series):
            missed += 1
            if missed > bearable + 1e-9:
                return Guesses(tried, place - missed)
    return Guesses(tried, tried - missed)


def _near(value: float, before: Sequence[float], tolerance: float) -> bool:
    ordered = sorted(before)
    guess = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return abs(value - guess) <= tolerance * guess * _ROUNDING


class Preferred(NamedTuple):
    """A value that comes oftener than those a little smaller or larger."""

    value: float
    hits: int
    around: int
    """Values just below and just above it, on as wide a stretch each."""
    p: float
    """How often chance prefers any value so much, if nearby values are about as frequent on a logarithmic scale."""


def preferred(values: Iterable[float], least: float, width: float = 1.1) -> Preferred | None:
    """Return the value from ``least`` on that is preferred most; None where there is none.

    Stretches of a factor ``width`` begin at each value. What follows in one is set against one stretch below and one
    above: where frequencies change slowly it has a third of all, or less. The p-value is the binomial tail, times the
    number of stretches tried (Bonferroni). Stretches with fewer values than the two beside them are passed over.
    """
    ordered = sorted(values)
    first = bisect_left(ordered, max(least, 1e-9))
    best: Preferred | None = None
    for place in range(first, len(ordered)):
        start = ordered[place]
        end = bisect_left(ordered, start * width, place)
        hits = end - place - 1
        if hits < _LEAST_PREFERRED:
            continue
        around = bisect_left(ordered, start * width * width, end) - end + place - bisect_left(ordered, start / width)
        if hits <= around:
            continue
        tail = min(1.0, binomial_tail(hits, hits + around, 1 / 3) * (len(ordered) - first))
        if best is None or tail < best.p:
            best = Preferred(ordered[(place + end - 1) // 2], hits + 1, around, tail)
    return best


def binomial_tail(hits: int, tried: int, p: float) -> float:
    """Return the probability of at least ``hits`` successes in ``tried`` trials of probability ``p``."""
    return min(1.0, sum(comb(tried, k) * p**k * (1 - p) ** (tried - k) for k in range(hits, tried + 1)))
