"""When an hour is unusual, and what is said about it."""

from __future__ import annotations

import random
import statistics
from math import log1p

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.alarm import Severity
from correlator.detect.baseline import (
    BY_RULE,
    FIGURES,
    FLOOR,
    BaselineLimits,
    Excess,
    Subject,
    Usual,
    alarm,
    amount,
    excess,
    explained,
    shrunk,
    usual,
)
from correlator.detect.profile import Level
from correlator.detect.robust import ORDINARY

LIMITS = BaselineLimits()
OUT, CONNECTIONS, UPTIME = BY_RULE["out"], BY_RULE["connections"], BY_RULE["channel-uptime"]
TUESDAY_14 = 1_699_970_400


def ordinary(values: list[int]) -> list[tuple[float, int]]:
    return [(float(value), ORDINARY) for value in values]


def judged(value: int, values: list[int], rule: str = "out", parent: list[int] | None = None) -> Severity | None:
    found = excess(BY_RULE[rule], value, ordinary(values), lambda: usual(ordinary(parent or [])), LIMITS)
    return found.severity(LIMITS) if found is not None else None


@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=28))
def test_what_is_usual_is_median_and_mad_of_the_logarithms(values: list[int]) -> None:
    found = usual(ordinary(values))
    assert found is not None
    logs = [log1p(value) for value in values]
    middle = statistics.median(logs)
    assert found.centre == pytest.approx(middle)
    assert found.spread == pytest.approx(max(FLOOR, 1.4826 * statistics.median(abs(x - middle) for x in logs)))
    assert (found.median, found.most, found.values) == (statistics.median(values), max(values), len(values))


@given(st.lists(st.integers(0, 10**9), min_size=5, max_size=28), st.integers(0, 10**10), st.randoms())
def test_the_order_of_hours_does_not_matter(values: list[int], value: int, rng: random.Random) -> None:
    mixed = values[:]
    rng.shuffle(mixed)
    for figure in FIGURES:
        assert excess(figure, value, ordinary(values), lambda: None, LIMITS) == excess(
            figure, value, ordinary(mixed), lambda: None, LIMITS
        )


@given(st.lists(st.integers(0, 10**9), min_size=5, max_size=28), st.integers(0, 10**9))
def test_nothing_within_the_largest_learned_value_is_unusual(values: list[int], value: int) -> None:
    if value <= max(values):
        assert all(excess(figure, value, ordinary(values), lambda: None, LIMITS) is None for figure in FIGURES)


@given(st.lists(st.integers(0, 10**9), min_size=5, max_size=28), st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_is_never_less_unusual(values: list[int], one: int, more: int) -> None:
    for figure in FIGURES:
        less_of_it = excess(figure, one, ordinary(values), lambda: None, LIMITS)
        more_of_it = excess(figure, one + more, ordinary(values), lambda: None, LIMITS)
        if less_of_it is not None:
            assert more_of_it is not None
            assert more_of_it.z >= less_of_it.z - 1e-6


STEADY = [1_000_000 + 20_000 * number for number in range(-7, 7)]


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        (1_100_000, None),  # within
        (1_240_000, None),  # within 10 % of the largest
        (1_400_000, Severity.MEDIUM),  # over by 24 %
        (1_440_000, Severity.MEDIUM),
        (2_000_000, Severity.HIGH),  # over by 77 %
    ],
)
def test_ten_percent_beyond_the_largest_is_medium_and_thirty_high(value: int, severity: Severity | None) -> None:
    assert judged(value, STEADY) == severity


def test_what_varies_much_has_to_be_exceeded_by_more() -> None:
    wild = [10**3, 10**7, 10**5, 10**6, 10**4, 10**7, 10**3, 10**5] * 3
    assert judged(14 * 10**6, wild) is None
    assert judged(2 * 10**6, STEADY) is Severity.HIGH


def test_few_values_say_nothing() -> None:
    assert judged(10**9, [10**5] * 4) is None
    assert judged(10**9, [10**5] * 5) is Severity.HIGH


@pytest.mark.parametrize(("rule", "value"), [("out", 19_999), ("connections", 19), ("channel-uptime", 899)])
def test_little_is_not_looked_at_however_unusual(rule: str, value: int) -> None:
    assert excess(BY_RULE[rule], value, ordinary([1] * 28), lambda: None, LIMITS) is None


def test_the_first_traffic_in_a_quiet_hour_is_measured_by_other_hours() -> None:
    # By itself an active hour is no volume: what is usual at other times decides.
    day = [10**6, 2 * 10**6, 10**6, 3 * 10**6, 2 * 10**6] * 5
    assert judged(2 * 10**6, [0] * 28, parent=day) is None
    assert judged(400 * 10**6, [0] * 28, parent=day) is Severity.HIGH


def test_quiet_hours_with_nothing_else_known_cannot_be_judged() -> None:
    assert judged(10**9, [0] * 28) is None


@pytest.mark.parametrize(("count", "severity"), [(22, Severity.MEDIUM), (60, Severity.HIGH)])
def test_few_connections_are_judged_by_their_counts(count: int, severity: Severity) -> None:
    assert judged(count, [5, 8, 3, 6, 9, 4, 7] * 4, "connections") is severity


def test_bursty_counts_are_unusual_later() -> None:
    steady = excess(CONNECTIONS, 60, ordinary([10] * 28), lambda: None, LIMITS)
    bursty = excess(CONNECTIONS, 60, ordinary([0, 20] * 14), lambda: None, LIMITS)
    assert steady is not None
    assert bursty is not None
    assert bursty.z < steady.z


@given(st.lists(st.integers(0, 10**6), min_size=12, max_size=28), st.integers(10**8, 10**10))
def test_hours_that_alarmed_do_not_move_the_limit(values: list[int], attack: int) -> None:
    """Slow poisoning: nine alarmed hours, each worth a twentieth, leave the most of the ordinary hours."""
    poisoned = [*ordinary(values), *[(float(attack), LIMITS.alarmed_weight_percent)] * 9]
    clean = usual(ordinary(values))
    found = usual(poisoned)
    assert clean is not None
    assert found is not None
    assert found.most == clean.most
    assert found.median <= max(values)


def test_what_goes_on_alarming_is_learned_in_the_end() -> None:
    """A backup that is there to stay is usual after ten times in the same slot."""
    found = usual([*ordinary([10**5] * 18), *[(10.0**9, LIMITS.alarmed_weight_percent)] * 10])
    assert found is not None
    assert found.most == 10**9


def test_a_small_cell_is_drawn_to_its_parent() -> None:
    own, parent = usual(ordinary([100] * 7)), usual(ordinary([10_000] * 100))
    assert own is not None
    assert parent is not None
    found = shrunk(own, parent)
    assert found.centre == pytest.approx((own.centre + parent.centre) / 2)
    assert (found.most, shrunk(own._replace(values=6.0), parent).most) == (100, 10_000)
    assert shrunk(own, None) == own


def test_no_weight_is_no_knowledge() -> None:
    assert usual([]) is None
    assert usual([(5.0, 0)]) is None


def test_the_alarm_names_who_when_what_was_learned_and_what_was_exceeded() -> None:
    found = excess(OUT, 9_800_000, ordinary([3_100_000] * 28), lambda: None, LIMITS)
    assert found is not None
    subject = Subject(Level.CLIENT, "10.1.1.46", None, None, 6)
    raised = alarm(subject, [found], Severity.HIGH, TUESDAY_14, TUESDAY_14 * 10**9 + 5)
    assert raised.message == (
        "10.1.1.46: Tuesday 14:00 usually <= 3.1 MB outbound (most of 28 learned, median 3.1 MB), "
        "now 9.8 MB, 216 % more; in the period from 2023-11-14T14:00:00Z"
    )
    assert (raised.kind, raised.rule, raised.client, raised.server) == ("baseline", "period", "10.1.1.46", None)
    (evidence,) = raised.evidence
    assert (evidence.symptom, evidence.value, evidence.threshold) == ("above-baseline-out", 9_800_000, 3_100_000)


def test_a_pair_is_named_by_both() -> None:
    assert Subject(Level.CHANNEL, "10.1.1.46", "192.0.2.1:443", None, 6).text == "10.1.1.46 -> 192.0.2.1:443"
    assert Subject(Level.NAMED, "10.1.1.46", None, "a.example", 6).text == "10.1.1.46 -> a.example"


def test_from_nothing_no_percentage_is_told() -> None:
    over = Excess(CONNECTIONS, 50, Usual(28, 0, 0, 0, 0, 0), 9.0)
    assert explained(over, TUESDAY_14) == (
        "Tuesday 14:00 usually <= 0 connections (most of 28 learned, median 0), now 50"
    )
    assert over.severity(LIMITS) is Severity.HIGH


@pytest.mark.parametrize(
    ("value", "rule", "text"),
    [(12, "out", "12 B"), (1500, "out", "1.5 kB"), (3.1e6, "in", "3.1 MB"), (2e9, "in", "2.0 GB"),
     (90, "tcp-uptime", "90 s"), (7, "connections", "7")],
)  # fmt: skip
def test_amounts_have_units(value: float, rule: str, text: str) -> None:
    assert amount(value, BY_RULE[rule]) == text


def test_uptimes_are_figures_too() -> None:
    assert judged(3600, [600] * 28, "channel-uptime") is Severity.HIGH
    assert UPTIME.noun == "channel uptime"
