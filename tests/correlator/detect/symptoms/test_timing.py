"""Regular connections and exchanges are told from those of chance."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest
from corr_flows import NS, T0, flow
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.channel import Channel, Surroundings, Visit, new_channel
from correlator.detect.symptom import Sight
from correlator.detect.symptoms.timing import (
    GUESSED,
    GUESSED_WITH_SIZE,
    INSIDE,
    INTERVAL,
    INTERVAL_AND_SIZE,
    PREFERRED,
    TimingLimits,
    of_channel,
    of_flow,
)

AROUND = Surroundings(T0, 1, 10, T0, 0)
LIMITS = TimingLimits()


def channel(starts_s: list[float], sizes: list[int] | None = None, bytes_in: int = 740) -> Channel:
    made = new_channel(flow())
    for number, start_s in enumerate(starts_s):
        record = flow(
            number, start_s=start_s, length_s=1, payload_bytes_out=sizes[number] if sizes else 500,
            payload_bytes_in=bytes_in,
        )  # fmt: skip
        made.add(record, "1", begins=True, gap_ns=300 * NS)
    return made


def told(made: Channel, limits: TimingLimits = LIMITS) -> dict[str, Sight]:
    return {sight.symptom: sight for sight in of_channel(made, AROUND, limits)}


def found(made: Channel, limits: TimingLimits = LIMITS) -> set[str]:
    return {name for name, sight in told(made, limits).items() if sight.found}


def jittered(count: int, period_s: float, jitter: float, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return list(accumulate(period_s * (1 + rng.uniform(-jitter, jitter)) for _ in range(count)))


BY_CLOCK = {INTERVAL, INTERVAL_AND_SIZE, GUESSED, GUESSED_WITH_SIZE}
ALL = {*BY_CLOCK, PREFERRED}


@pytest.mark.parametrize(
    ("starts_s", "names"),
    [
        (jittered(21, 300, 0.0), ALL),
        (jittered(21, 300, 0.05), ALL),
        (jittered(21, 300, 0.5), {INTERVAL, INTERVAL_AND_SIZE}),
        (jittered(60, 60, 0.75), {INTERVAL, INTERVAL_AND_SIZE}),
        (jittered(10, 300, 0.02), BY_CLOCK),  # nine gaps
        (jittered(8, 300, 0.0), set()),  # seven
        ([300.0 * 1.5**n for n in range(20)], set()),
        (jittered(101, 1.2, 0.1), set()),  # below least_interval_s
    ],
    ids=["clock", "5 %", "50 %", "75 %", "nine gaps", "seven gaps", "back-off", "too frequent"],
)
def test_what_comes_regularly_is_found(starts_s: list[float], names: set[str]) -> None:
    assert found(channel(starts_s)) == names


def test_sizes_have_to_be_regular_too_where_both_are_asked_for() -> None:
    rng = random.Random(4)
    sizes = [int(500 * rng.lognormvariate(0, 1.5)) for _ in range(30)]
    assert found(channel(jittered(30, 300, 0.02), sizes)) == {INTERVAL, GUESSED, PREFERRED}


def test_one_memoryless_client_in_ten_thousand_is_found() -> None:
    rng = random.Random(9)
    hits = sum(
        INTERVAL in found(channel(list(accumulate(rng.expovariate(1 / 60) for _ in range(40))))) for _ in range(300)
    )
    assert hits <= 1


def test_a_timer_among_a_users_own_connections_is_found() -> None:
    rng = random.Random(5)
    timer = [300.0 * n for n in range(60)]
    user = [start + n * rng.expovariate(1 / 15) for start in (3000, 9000, 15_000) for n in range(15)]
    assert PREFERRED in found(channel(sorted([*timer, *user])))


def test_judged_at_each_connection_a_memoryless_client_is_seldom_found() -> None:
    # Each day is 200 looks at overlapping windows: more than one in ten thousand, and still few.
    rng, days, hits = random.Random(13), 60, 0
    for _ in range(days):
        made, names = new_channel(flow()), set()
        for start_s in accumulate(rng.expovariate(1 / 400) for _ in range(200)):
            made.visits = [*made.visits, Visit(int(start_s * NS), int(start_s * NS) + NS, 500, 700)][-101:]
            names |= found(made)
        hits += bool(names)
    assert hits <= 3


def test_guessing_finds_no_memoryless_client() -> None:
    rng = random.Random(10)
    for _ in range(500):
        starts_s = list(accumulate(rng.expovariate(1 / 60) for _ in range(rng.randint(9, 40))))
        assert not found(channel(starts_s)) & {GUESSED, GUESSED_WITH_SIZE}


def test_only_established_flows_count() -> None:
    assert told(channel(jittered(60, 300, 0.0), bytes_in=0)) == {}


def test_starts_together_are_one() -> None:
    starts_s = [at + more for at in jittered(30, 300, 0.0) for more in (0, 0.2, 0.7)]
    assert found(channel(starts_s)) == ALL
    assert told(channel(starts_s))[INTERVAL].explanation.startswith("29 connections came every 5.0 min")


def test_the_explanation_says_interval_spread_and_chance() -> None:
    sight = told(channel(jittered(51, 300, 0.3)))[INTERVAL_AND_SIZE]
    assert sight.explanation.startswith("50 connections came every ")
    assert "varying by 1" in sight.explanation
    assert sight.explanation.endswith("by chance so regular once in 100,000; each sent about 500 bytes, varying by 0%")
    assert sight.log10_lr == pytest.approx(0.903, abs=0.001)


def test_weaker_evidence_is_worth_less_than_eight() -> None:
    lrs = {
        told(channel(jittered(20, 300, 0.95, seed)), TimingLimits(max_p=0.3))[INTERVAL].log10_lr for seed in range(30)
    }
    assert all(lr is None or 0 < lr <= 0.904 for lr in lrs)
    assert any(lr is not None and lr < 0.8 for lr in lrs)


def inside(gaps_s: list[float]) -> Sight | None:
    mean = sum(gaps_s) / len(gaps_s)
    record = flow(
        exchange_gaps=len(gaps_s),
        exchange_gap_mean_s=mean,
        exchange_gap_m2_s2=sum((gap - mean) ** 2 for gap in gaps_s),
        exchange_gap_min_ns=int(min(gaps_s) * NS),
        exchange_gap_max_ns=int(max(gaps_s) * NS),
    )
    return next(of_flow(record, LIMITS), None)


@pytest.mark.parametrize(
    ("gaps_s", "is_found"),
    [
        ([30.0] * 20, True),
        ([20.0, 30.0, 40.0] * 10, True),
        ([30.0] * 20 + [4000.0], True),
        ([0.5] * 50, False),
        ([1.0, 90.0] * 20, False),
        ([30.0] * 20 + [4000.0] * 3, False),
        ([30.0] * 7, None),
    ],
    ids=["clock", "jitter", "one pause", "too frequent", "irregular", "three pauses", "too few"],
)
def test_exchanges_inside_a_connection(gaps_s: list[float], *, is_found: bool | None) -> None:
    sight = inside(gaps_s)
    assert (None if sight is None else sight.found) is is_found
    assert sight is None or sight.symptom == INSIDE


@given(
    st.integers(0, 1 << 62), st.floats(0, 1e30), st.floats(0, 1e30),
    st.none() | st.integers(0, 1 << 62),
)  # fmt: skip
def test_any_sums_of_a_sensor_are_taken(count: int, mean: float, m2: float, longest: int | None) -> None:
    record = flow(exchange_gaps=count, exchange_gap_mean_s=mean, exchange_gap_m2_s2=m2, exchange_gap_max_ns=longest)
    assert len(list(of_flow(record, LIMITS))) <= 1


def test_a_flow_whose_exchanges_were_not_measured_is_not_tested() -> None:
    assert not list(of_flow(flow(), LIMITS))


@given(
    st.lists(
        st.builds(
            Visit, st.integers(0, 1 << 62), st.integers(0, 1 << 62), st.integers(0, 1 << 62), st.integers(0, 1 << 62)
        ),
        max_size=101,
    )
)
def test_any_visits_are_taken(visits: list[Visit]) -> None:
    made = new_channel(flow())
    made.visits = sorted(visits)
    assert {sight.symptom for sight in of_channel(made, AROUND, LIMITS)} <= ALL


@given(st.permutations(range(30)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    starts_s = jittered(30, 300, 0.3)
    assert told(channel([starts_s[n] for n in order])) == told(channel(starts_s))
