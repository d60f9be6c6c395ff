"""Weighted medians, spreads and tails are what the textbooks say."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.robust import (
    ORDINARY,
    dispersion,
    ln_count_tail,
    ln_normal_tail,
    median,
    most,
    spread,
    z_of,
)

numbers = st.lists(st.floats(0, 1e12), min_size=1, max_size=60)


def ordinary(values: list[float]) -> list[tuple[float, int]]:
    return [(value, ORDINARY) for value in values]


@given(numbers)
def test_the_median_of_equal_weights_is_the_median(values: list[float]) -> None:
    assert median(ordinary(values)) == statistics.median(values)


@given(numbers)
def test_the_spread_of_equal_weights_is_the_scaled_mad(values: list[float]) -> None:
    middle = statistics.median(values)
    expected = 1.4826 * statistics.median(abs(value - middle) for value in values)
    assert spread(ordinary(values), middle) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), min_size=1, max_size=20))
def test_a_weight_is_so_many_equal_values(values: list[tuple[int, int]]) -> None:
    spelled_out = [value for value, weight in values for _ in range(weight)]
    if spelled_out:
        assert median(values) == statistics.median(spelled_out)


@given(numbers)
def test_the_most_of_less_than_a_hundred_values_is_the_largest(values: list[float]) -> None:
    assert most(ordinary(values)) == max(values)


def test_the_most_of_many_values_is_their_99_percent_quantile() -> None:
    assert most(ordinary([float(value) for value in range(1, 1001)])) == 991


@pytest.mark.parametrize(("alarmed", "expected"), [(1, 10), (9, 10), (10, 1000), (28, 1000)])
def test_values_of_little_weight_count_when_they_are_many(alarmed: int, expected: float) -> None:
    assert most([(10.0, ORDINARY)] * 10 + [(1000.0, 5)] * alarmed) == expected


@pytest.mark.parametrize("values", [[], [(3.0, 0)]])
def test_without_weights_there_is_no_median(values: list[tuple[float, int]]) -> None:
    with pytest.raises(ValueError, match="no value has a weight"):
        median(values)
    with pytest.raises(ValueError, match="no value has a weight"):
        most(values)


@pytest.mark.parametrize("z", [0.5, 1.0, 2.0, 3.0, 5.0])
def test_the_normal_tail_is_that_of_the_standard_library(z: float) -> None:
    assert math.exp(ln_normal_tail(z)) == pytest.approx(1 - statistics.NormalDist().cdf(z), rel=1e-6)


@given(st.floats(0.01, 37))
def test_z_and_its_tail_are_each_others_inverse(z: float) -> None:
    assert z_of(ln_normal_tail(z)) == pytest.approx(z, abs=1e-6)


def test_the_tail_goes_on_smoothly_where_its_formula_changes() -> None:
    assert ln_normal_tail(25.0001) == pytest.approx(ln_normal_tail(24.9999), abs=0.01)


@given(st.integers(1, 40), st.floats(0.1, 30), st.floats(0.1, 50))
def test_the_tail_of_counts_is_the_sum_of_their_probabilities(count: int, mean: float, size: float) -> None:
    share = mean / (mean + size)
    below = sum(
        math.exp(
            math.lgamma(number + size) - math.lgamma(size) - math.lgamma(number + 1)
            + size * math.log(1 - share) + number * math.log(share)
        )
        for number in range(count)
    )  # fmt: skip
    if count > mean:
        assert math.exp(ln_count_tail(count, mean, size)) == pytest.approx(1 - below, abs=1e-9)
    else:
        assert ln_count_tail(count, mean, size) == 0


def test_counts_that_never_were_are_still_possible() -> None:
    mean, size = dispersion([(0.0, ORDINARY)] * 28)
    assert (mean, size) == (0.5 / 28, 0.5)
    # Jeffreys' predictive: 1 - (28 / 28.5...)^0.5 at one
    assert 0.001 < math.exp(ln_count_tail(1, mean, size)) < 0.05
    assert math.exp(ln_count_tail(5, mean, size)) < 1e-6


def test_counts_that_vary_more_than_by_chance_have_a_heavier_tail() -> None:
    steady = dispersion([(10.0, ORDINARY)] * 28)
    bursty = dispersion([(0.0, ORDINARY)] * 14 + [(20.0, ORDINARY)] * 14)
    assert ln_count_tail(40, *bursty) > ln_count_tail(40, *steady)
