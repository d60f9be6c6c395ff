"""The gap test is calibrated, finds jittered beacons as often as it should, and takes anything."""

from __future__ import annotations

import random
from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.regularity import (
    LEAST,
    bayes_bound,
    binomial_tail,
    chance,
    gaps_of,
    guesses,
    preferred,
    regularity,
)

S = 1_000_000_000
MAX_P = 1e-4


def beacon(rng: random.Random, gaps: int, jitter: float, missed: float = 0.0) -> list[int]:
    """Starts of a free-running beacon of 300 s, each interval off by up to the jitter, some call-backs not made."""
    at, starts = 0.0, [0]
    while len(starts) <= gaps:
        at += 300 * (1 + rng.uniform(-jitter, jitter))
        if rng.random() >= missed:
            starts.append(int(at * S))
    return starts


def flagged(starts: list[int], p: float = MAX_P) -> bool:
    found = regularity(gaps_of(starts, S))
    return found is not None and found.p <= p


def share_flagged(seed: int, trials: int, *what: float, p: float = MAX_P) -> float:
    rng = random.Random(seed)
    return sum(flagged(beacon(rng, int(what[0]), *what[1:]), p) for _ in range(trials)) / trials


# Recall at p 1e-4 by a simulation of its own when the test was designed, rounded to two digits.
@pytest.mark.parametrize(
    ("gaps", "jitter", "recall"),
    [
        (8, 0.3, 0.45), (8, 0.5, 0.03), (8, 0.75, 0.0), (8, 1.0, 0.0),
        (12, 0.0, 1.0), (12, 0.3, 1.0), (12, 0.5, 0.66), (12, 0.75, 0.06), (12, 1.0, 0.01),
        (20, 0.0, 1.0), (20, 0.3, 1.0), (20, 0.5, 1.0), (20, 0.75, 0.58), (20, 1.0, 0.08),
        (50, 0.5, 1.0), (50, 0.75, 1.0), (50, 1.0, 0.69),
        (100, 0.75, 1.0), (100, 1.0, 0.99),
    ],
)  # fmt: skip
def test_recall_is_what_the_design_says(gaps: int, jitter: float, recall: float) -> None:
    trials = 300
    found = share_flagged(7, trials, gaps, jitter)
    # four standard errors of the binomial, and what another simulation's rounding and table differ by
    assert abs(found - recall) <= 4 * (max(recall * (1 - recall), 0.01) / trials) ** 0.5 + 0.03


@pytest.mark.parametrize(
    ("gaps", "jitter", "least"), [(20, 0.0, 0.9), (20, 0.3, 0.75), (50, 0.5, 0.97), (50, 0.75, 0.83), (100, 1.0, 0.78)]
)
def test_a_tenth_of_the_callbacks_missed_costs_little(gaps: int, jitter: float, least: float) -> None:
    assert share_flagged(11, 300, gaps, jitter, 0.1) >= least


@pytest.mark.parametrize("gaps", [8, 12, 17, 33, 75, 100, 150])
@pytest.mark.parametrize("p", [0.1, 0.01])
def test_a_memoryless_client_is_flagged_no_more_often_than_p_says(gaps: int, p: float) -> None:
    rng, trials = random.Random(gaps), 4000
    draws = [regularity([rng.expovariate(1) for _ in range(gaps)]) for _ in range(trials)]
    found = sum(told is not None and told.p <= p for told in draws)
    assert found / trials <= p + 4 * (p * (1 - p) / trials) ** 0.5
    # the gaps left are counted, not those there were, which costs some of the nominal rate
    assert gaps > 100 or found / trials >= 0.3 * p


@pytest.mark.parametrize("mean_s", [1.5, 3, 10, 300])
def test_merging_does_not_make_frequent_connections_look_regular(mean_s: float) -> None:
    rng, trials, hits = random.Random(3), 1000, 0
    for _ in range(trials):
        at, starts = 0.0, []
        for _ in range(200):
            at += rng.expovariate(1 / mean_s)
            starts.append(int(at * S))
        hits += flagged(starts[-101:], 0.01)
    assert hits <= trials * 0.01 + 4 * (trials * 0.01) ** 0.5


@pytest.mark.parametrize(("sigma", "most"), [(1.0, 0.01), (1.5, 0.003), (2.0, 0.003)])
def test_bursty_clients_are_seldom_flagged(sigma: float, most: float) -> None:
    rng, trials = random.Random(5), 1000
    hits = 0
    for _ in range(trials):
        at, starts = 0.0, [0]
        for _ in range(50):
            at += 60 * rng.lognormvariate(0, sigma)
            starts.append(int(at * S))
        hits += flagged(starts)
    assert hits <= trials * most


def test_growing_intervals_are_missed() -> None:
    starts = [int(S * 1.5**n) for n in range(12, 42)]
    assert not flagged(starts)


@pytest.mark.parametrize("count", [8, 14, 22, 64, 100, 5000])
def test_chance_falls_with_the_variation(count: int) -> None:
    asked = [n / 200 for n in range(301)]
    told = [chance(count, cv) for cv in asked]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (1e-5, 1.0)


@pytest.mark.parametrize(
    ("count", "cv", "p"),
    [
        (8, 0.375, 0.01), (12, 0.479, 0.01), (20, 0.579, 0.01), (50, 0.7, 0.01), (100, 0.757, 0.01),
        (8, 0.252, 1e-3), (12, 0.38, 1e-3), (20, 0.5, 1e-3), (50, 0.645, 1e-3), (100, 0.718, 1e-3),
        (12, 0.295, 1e-4), (20, 0.436, 1e-4), (50, 0.602, 1e-4), (100, 0.689, 1e-4),
    ],
)  # fmt: skip
def test_the_table_agrees_with_the_one_of_the_design(count: int, cv: float, p: float) -> None:
    assert abs(log10(chance(count, cv)) - log10(p)) < 0.15


def test_too_few_gaps_are_no_gaps() -> None:
    assert regularity([1.0] * (LEAST - 1)) is None
    assert regularity([0.0] * 50) is None
    with pytest.raises(ValueError, match="fewer than 8"):
        chance(7, 0.1)


def test_nights_are_left_out() -> None:
    day = [300.0] * 20
    found = regularity([*day, 50_000.0, *day, 60_000.0])
    assert found is not None
    assert (found.number, found.median, found.cv, found.p) == (40, 300.0, 0.0, 1e-5)


def test_starts_within_the_merging_time_are_one() -> None:
    assert gaps_of([0, S // 2, 10 * S, 10 * S + 1, 20 * S], S) == [9 * S, 9 * S]
    assert gaps_of([], S) == gaps_of([5], S) == []


@given(st.lists(st.floats(0, 1e18) | st.integers(0, 1 << 62), max_size=120))
def test_any_values_give_a_probability_or_nothing(values: list[float]) -> None:
    found = regularity(values)
    if found is not None:
        assert 1e-5 <= found.p <= 1
        assert found.cv >= 0
        assert LEAST <= found.number <= len(values)


@given(st.lists(st.integers(0, 1 << 60), max_size=60).map(sorted), st.integers(0, 10 * S))
def test_no_gap_is_negative(starts: list[int], merged: int) -> None:
    assert all(gap >= 0 for gap in gaps_of(starts, merged))


@pytest.mark.parametrize(("p", "lr"), [(0.01, 8), (0.001, 53), (1e-4, 399), (1e-6, 26_628), (0.5, 1)])
def test_the_bound_of_a_p_value(p: float, lr: float) -> None:
    assert bayes_bound(p) == pytest.approx(lr, rel=0.005)


@given(st.floats(1e-300, 1))
def test_the_bound_never_speaks_for_chance(p: float) -> None:
    assert bayes_bound(p) >= 1


@pytest.mark.parametrize(
    ("hits", "tried", "p", "tail"),
    [(6, 8, 0.07, 2.9e-6), (6, 8, 0.15, 2.4e-4), (6, 8, 0.30, 1.1e-2), (15, 20, 0.3, 4.3e-5), (15, 20, 0.5, 2.1e-2)],
)
def test_binomial_tails(hits: int, tried: int, p: float, tail: float) -> None:
    assert binomial_tail(hits, tried, p) == pytest.approx(tail, rel=0.05)


@pytest.mark.parametrize(("jitter", "found"), [(0.0, 1.0), (0.05, 1.0), (0.13, 0.7), (0.5, 0.2)])
def test_guesses_bear_a_little_jitter(jitter: float, found: float) -> None:
    rng = random.Random(2)
    told = guesses([[300 * (1 + rng.uniform(-jitter, jitter)) for _ in range(500)]], 0.1)
    assert told.tried == 499
    assert told.share == pytest.approx(found, abs=0.1)


def test_a_memoryless_client_is_guessed_in_seven_of_a_hundred() -> None:
    rng = random.Random(2)
    told = guesses([[rng.expovariate(1) for _ in range(20_000)]], 0.1)
    assert told.share == pytest.approx(0.069, abs=0.008)


@given(st.lists(st.integers(1, 20), max_size=25), st.sampled_from([0.5, 0.75, 1.0]))
def test_giving_up_early_changes_no_verdict(values: list[int], share: float) -> None:
    whole, early = guesses([values], 0.1), guesses([values], 0.1, share)
    assert early.tried == whole.tried
    assert (early.share >= share) == (whole.share >= share)


def test_a_guess_of_two_series_is_right_in_both() -> None:
    assert guesses([[10] * 9, [5] * 9], 0.1).hits == 8
    assert guesses([[10] * 9, [5, 50] * 5], 0.1).hits == 0
    assert guesses([[10, 20], []], 0.1) == guesses([], 0.1) == (0, 0)


def test_a_timer_is_preferred_among_a_users_own_gaps() -> None:
    rng = random.Random(8)
    for _ in range(50):
        users = [rng.lognormvariate(3, 1.2) for _ in range(60)]
        timers = [300 * (1 + rng.uniform(-0.03, 0.03)) for _ in range(20)]
        told = preferred([*users, *timers], 30)
        assert told is not None
        assert told.p < MAX_P
        assert told.value == pytest.approx(300, rel=0.1)
        assert 19 <= told.hits <= 25


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_nothing_is_preferred_where_frequencies_change_slowly(sigma: float) -> None:
    rng, trials, hits = random.Random(12), 1500, 0
    for _ in range(trials):
        told = preferred([round(100 * rng.lognormvariate(0, sigma)) for _ in range(100)], 30)
        hits += told is not None and told.p <= 0.01
    assert hits <= trials * 0.01 + 4 * (trials * 0.01) ** 0.5


@given(st.lists(st.floats(0, 1e18) | st.integers(0, 1 << 62), max_size=120), st.floats(0, 1e12))
def test_any_values_may_be_preferred(values: list[float], least: float) -> None:
    told = preferred(values, least)
    if told is not None:
        assert 0 <= told.p <= 1
        assert told.value >= least
        assert 6 <= told.hits <= len(values)
