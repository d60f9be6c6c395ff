"""The alarm budget: p-values, the guard, floods; and that a budget holds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.alarm import Severity
from correlator.detect.budget import DAY_S, KEPT, Budget, Calibration, Ranked, bucket, flooded

scores = st.lists(st.floats(-5, 10), max_size=60)


@given(scores, st.floats(-5, 10))
def test_a_p_value_is_the_rank_among_all_scores(known: list[float], score: float) -> None:
    calibration = Calibration((bucket(0, len(known), known),))
    assert calibration.p_value(score) == (1 + sum(one >= score for one in known)) / (len(known) + 1)


@given(scores, st.lists(st.integers(0, 5), max_size=60))
def test_how_scores_are_divided_into_days_does_not_matter(known: list[float], places: list[int]) -> None:
    parted: dict[int, list[float]] = {}
    for number, score in enumerate(known):
        parted.setdefault(places[number] if number < len(places) else 0, []).append(score)
    together = Calibration((bucket(0, len(known), known),))
    apart = Calibration(tuple(bucket(day * DAY_S, len(some), some) for day, some in parted.items()))
    assert together.p_value(1.0) == apart.p_value(1.0)


def test_what_is_not_kept_counts_as_high() -> None:
    many = bucket(0, 10_000, [float(number) for number in range(10_000)])
    assert len(many.highest) == KEPT
    assert many.at_least(9_999.0) == 1
    assert many.at_least(10_000 - KEPT + 1.0) == KEPT - 1
    assert many.at_least(100.0) == 10_000


def _normal(rng: random.Random, count: int) -> list[float]:
    return [rng.gauss(0, 1) for _ in range(count)]


def _played(per_day: float, days: int, seed: int, tests: int = 300) -> int:
    """Return how many alarms ordinary scores raise on so many days after two weeks."""
    rng = random.Random(seed)
    known = {"a": Calibration(()), "b": Calibration(())}
    alarms = 0
    for day in range(14 + days):
        for kind, count in (("a", tests), ("b", tests // 3)):
            today = _normal(rng, count)
            budget = Budget(known, per_day)
            if day >= 14:
                alarms += sum(budget.allows(kind, score, day * DAY_S) is not None for score in today)
            buckets = (*known[kind].buckets[-27:], bucket(day * DAY_S, count, today))
            known = {**known, kind: Calibration(buckets)}
    return alarms


@pytest.mark.parametrize("per_day", [0.5, 1.0, 5.0])
def test_ordinary_days_raise_as_many_alarms_as_the_budget_says(per_day: float) -> None:
    expected = per_day * 60
    alarms = _played(per_day, 60, seed=7)
    assert alarms <= expected * 1.5 + 2 * expected**0.5
    assert alarms >= expected * 0.5 - 2 * expected**0.5


def test_while_there_are_few_scores_the_guard_holds_the_budget() -> None:
    rng = random.Random(3)
    alarms = 0
    known: tuple[Calibration, ...] = (Calibration(()),)
    for day in range(40):
        today = _normal(rng, 3)
        budget = Budget({"a": known[0]}, 0.05)
        alarms += sum(budget.allows("a", score, day * DAY_S) is not None for score in today)
        known = (Calibration((*known[0].buckets, bucket(day * DAY_S, 3, today))),)
    # 40 days at a twentieth a day are two; the first days break records, as first days do.
    assert alarms <= 8


def test_nothing_is_raised_before_anything_is_known_or_without_a_budget() -> None:
    assert Budget({}, 5).allows("a", 99.0, 0) is None
    assert Budget({"a": Calibration(())}, 5).allows("a", 99.0, 0) is None
    assert Budget({"a": Calibration((bucket(0, 9, [1.0]),))}, 0).allows("a", 99.0, DAY_S) is None


def test_the_guard_is_the_highest_of_the_windows() -> None:
    assert Calibration(()).guard(0, 1) is None
    old, new = bucket(0, 3, [9.0, 8.0, 7.0]), bucket(9 * DAY_S, 3, [3.0, 2.0, 1.0])
    # of the latest day and week 3 and 2; of four weeks, two places: 8 and 7
    assert Calibration((old, new)).guard(10 * DAY_S, 1) == 7.5
    assert Calibration((old, new)).guard(10 * DAY_S, 0.1) == 9


def ranked(number: int, odds: float, *, decisive: bool = False, severity: Severity = Severity.MEDIUM) -> Ranked:
    return Ranked(f"a{number}", odds, severity, decisive)


def test_of_a_flood_the_weakest_ordinary_alarms_are_too_many() -> None:
    alarms = [ranked(1, 0.5), ranked(2, -0.5), ranked(3, 0.1), ranked(4, -9, decisive=True),
              ranked(5, -3, severity=Severity.LOW)]  # fmt: skip
    assert flooded(alarms, 2) == ["a3", "a2"]
    assert flooded(alarms, 4) == []
    assert flooded(alarms, 0) == []


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.booleans(), st.sampled_from(list(Severity))), max_size=30),
    st.integers(1, 10),
)
def test_what_remains_of_a_flood_is_within_the_limit_or_decisive(
    drawn: list[tuple[float, bool, Severity]], most: int
) -> None:
    alarms = [ranked(number, odds, decisive=sure, severity=how) for number, (odds, sure, how) in enumerate(drawn)]
    gone = set(flooded(alarms, most))
    left = [one for one in alarms if one.id not in gone and one.severity is not Severity.LOW]
    assert not any(one.decisive for one in alarms if one.id in gone)
    assert len(left) <= max(most, sum(one.decisive for one in left))
    ordinary = [one.log10_odds for one in left if not one.decisive]
    assert not gone or not ordinary or min(ordinary) >= max(one.log10_odds for one in alarms if one.id in gone)
