"""Asking too often is told from using something often."""

from __future__ import annotations

from math import inf, sqrt

import pytest
from corr_flows import T0
from detect_channels import AROUND, any_channels, any_surroundings, channel, every, found, told
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.channel import HOUR_NS, SLOT_NS, Channel, Hour, Surroundings
from correlator.detect.symptoms.frequency import (
    ACTIVE,
    FEW,
    STEADY,
    STROBE,
    FrequencyLimits,
    of_channel,
    variation,
)

LIMITS = FrequencyLimits()
HOUR = T0 // HOUR_NS
SLOT = T0 // SLOT_NS


def names(made: Channel) -> set[str]:
    return found(of_channel(made, AROUND, LIMITS))


@pytest.mark.parametrize(
    ("hours", "log10_lr"),
    [
        ({0: 3599}, "absent"), ({0: 3600}, None), ({0: 3600, 20: 5}, None), ({0: 9999, 25: 5}, "absent"),
        (dict.fromkeys(range(24), 3600), 0.9), (dict.fromkeys(range(24), 3599), "absent"),
    ],
)  # fmt: skip
def test_a_strobe_is_a_connection_a_second(hours: dict[int, int], log10_lr: float | str | None) -> None:
    made = channel()
    made.hours = {HOUR + hour: Hour(count, 0, 0) for hour, count in hours.items()}
    sight = told(of_channel(made, AROUND, LIMITS))[STROBE]
    assert (sight.log10_lr if sight.found else "absent") == log10_lr


@pytest.mark.parametrize(("slots", "active"), [(15, False), (16, True), (96, True)])
def test_sixteen_of_a_hundred_slots_are_active_ones(slots: int, *, active: bool) -> None:
    made = channel()
    made.slots = {SLOT + n: 100 for n in range(slots)}
    made.hours[HOUR] = Hour(8, 0, 0)
    assert (ACTIVE in names(made)) is active


def test_what_polls_a_new_server_is_told_within_80_minutes() -> None:
    # Web Tap found Hopster, which polls, after 80 minutes by its regularity.
    assert ACTIVE in names(channel(*every(81, 60)))
    assert not {ACTIVE, STEADY} & names(channel(*every(30, 60)))


@pytest.mark.parametrize(
    ("sent", "steady"),
    [
        ([100] * 9, True),  # nine of ninety-six even ones vary by 3.1
        ([100] * 8, False),
        ([100] * 20 + [9000], False),
        ([100] * 20 + [300], True),
    ],
)
def test_even_slots_are_steady_and_one_burst_is_not(sent: list[int], *, steady: bool) -> None:
    made = channel()
    made.slots = {SLOT + n: amount for n, amount in enumerate(sent)}
    made.hours[HOUR] = Hour(8, 0, 0)
    assert (STEADY in names(made)) is steady


def test_one_connection_is_not_asking_often() -> None:
    assert not {ACTIVE, STEADY} & names(channel({"length_s": 8 * 3600}))


def test_an_hourly_call_is_steady_after_a_day() -> None:
    # over 48 h and at every hour; Web Tap found its hourly backdoor by the 48 h count after about 26 h
    when = [hours for hours in range(60) if STEADY in names(channel(*every(hours + 1, 3600)))]
    assert min(when) <= 28


@given(st.lists(st.integers(0, 1 << 40), max_size=96))
def test_variation_is_that_of_all_slots(sent: list[int]) -> None:
    padded = [*sent, *[0] * (96 - len(sent))]
    mean = sum(padded) / 96
    told_cv = variation(sent, 96)
    if not mean:
        assert told_cv == inf
    else:
        expected = sqrt(sum((one - mean) ** 2 for one in padded) / 96) / mean
        assert told_cv == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("flows", "few"),
    [
        (every(50, 120), True),
        (every(49, 120), False),
        (every(100, 30), False),  # less than an hour
        (every(50, 120, payload_bytes_in=40_000), False),
        (every(50, 120, payload_bytes_in=0), False),
        (({"start_s": n * 120, "payload_bytes_in": 400 + 37 * n} for n in range(80)), False),
        (({"start_s": n * 120, "payload_bytes_in": 400 + n % 7} for n in range(80)), True),
        (({"start_s": n * 120, "payload_bytes_out": 9000 if n % 8 == 0 else 400} for n in range(80)), False),
    ],
    ids=["alike", "too few", "too short", "large", "unanswered", "growing", "nearly alike", "others between"],
)
def test_few_resources_again_and_again(flows: list[dict[str, int]], *, few: bool) -> None:
    assert (FEW in names(channel(*flows))) is few


@given(any_channels(), any_surroundings)
def test_anything_that_may_be_remembered_is_taken(made: Channel, around: Surroundings) -> None:
    assert {sight.symptom for sight in of_channel(made, around, LIMITS)} <= {STROBE, ACTIVE, STEADY, FEW}
