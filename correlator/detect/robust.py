"""Robust statistics of few values, each with a weight; tails of counts and of the normal distribution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import erfc, lgamma, log, pi, sqrt
from typing import Final

ORDINARY: Final = 100
"""The weight of an ordinary value; weights are whole numbers, so that sums of them are exact."""
MAD_TO_SIGMA: Final = 1.4826
"""The median absolute deviation of a normal distribution, times this, is its standard deviation."""
_MOST_Z: Final = 38.0
"""Beyond it the tail is smaller than any float."""

Weighted = tuple[float, int]
"""A value and its weight."""


def median(values: Iterable[Weighted]) -> float:
    """Return the value in the middle by weight, the mean of the two middle ones where it lies between them."""
    ordered = sorted(value for value in values if value[1] > 0)
    total = sum(weight for _, weight in ordered)
    reached = 0
    for place, (value, weight) in enumerate(ordered):
        reached += weight
        if 2 * reached == total:
            return (value + ordered[place + 1][0]) / 2
        if 2 * reached > total:
            return value
    raise ValueError("no value has a weight")


def spread(values: Sequence[Weighted], middle: float) -> float:
    """Return the median absolute deviation from the middle as a standard deviation."""
    return MAD_TO_SIGMA * median((abs(value - middle), weight) for value, weight in values)


def most(values: Iterable[Weighted]) -> float:
    """Return the largest value, of 100 ordinary ones and more the 99 % quantile.

    Values of little weight count once there are as many of them, at least so large, as weigh half an ordinary one.
    """
    ordered = sorted((value for value in values if value[1] > 0), reverse=True)
    if not ordered:
        raise ValueError("no value has a weight")
    wanted = max(ORDINARY / 2, sum(weight for _, weight in ordered) / 100)
    reached = 0
    for value, weight in ordered:
        reached += weight
        if reached >= wanted:
            return value
    return ordered[-1][0]


def ln_normal_tail(z: float) -> float:
    """Return ln P(Z >= z) of a standard normal Z."""
    if z < 25:
        return log(erfc(z / sqrt(2)) / 2)
    return -z * z / 2 - log(z * sqrt(2 * pi)) - 1 / (z * z)


def z_of(ln_tail: float) -> float:
    """Return the z of which P(Z >= z) has this logarithm, between 0 and 38."""
    low, high = 0.0, _MOST_Z
    for _ in range(50):
        middle = (low + high) / 2
        if ln_normal_tail(middle) > ln_tail:
            low = middle
        else:
            high = middle
    return low


def ln_count_tail(count: int, mean: float, size: float) -> float:
    """Return ln P(X >= count) of a negative binomial X with this mean; its variance is mean + mean^2 / size.

    0 where the count is not above the mean.
    """
    if count <= mean or mean <= 0:
        return 0.0
    share = mean / (mean + size)
    first = lgamma(count + size) - lgamma(size) - lgamma(count + 1) + size * log(1 - share) + count * log(share)
    total = term = 1.0
    number = count
    while term > total * 1e-12:
        term *= share * (number + size) / (number + 1)
        number += 1
        total += term
    return min(first + log(total), 0.0)


def dispersion(counts: Sequence[Weighted]) -> tuple[float, float]:
    """Return mean and size of a negative binomial for counts: by their moments, wider for how few they are.

    Half a count is added, as Jeffreys' prior for a rate has it: where there never was one, one is still possible.
    """
    number = sum(weight for _, weight in counts) / ORDINARY
    total = sum(count * weight for count, weight in counts) / ORDINARY
    average = total / number
    variance = sum(weight * (count - average) ** 2 for count, weight in counts) / ORDINARY / number
    of_few = total + 0.5
    if variance <= average:
        return of_few / number, of_few
    return of_few / number, 1 / ((variance - average) / average**2 + 1 / of_few)
