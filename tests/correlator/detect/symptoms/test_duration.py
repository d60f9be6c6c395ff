"""Long connections and channels."""

from __future__ import annotations

import pytest
from corr_flows import NS
from detect_channels import AROUND, any_channels, any_surroundings, channel
from detect_channels import told as by_symptom
from hypothesis import given

from correlator.detect.channel import Channel, Surroundings
from correlator.detect.symptom import Sight
from correlator.detect.symptoms.duration import LONG, LONG_CHANNEL, QUIET, DurationLimits, length_text, of_channel

LIMITS = DurationLimits()


def sights(*lengths_s: float, **changes: int) -> dict[str, Sight]:
    starts_s = [sum(lengths_s[:n]) + 10 * n for n in range(len(lengths_s))]
    flows = [{"start_s": start_s, "length_s": length_s} for start_s, length_s in zip(starts_s, lengths_s, strict=True)]
    return by_symptom(of_channel(channel(*flows, **changes), AROUND, LIMITS))


@pytest.mark.parametrize(
    ("hours", "log10_lr", "level_s"),
    [
        (0.16, None, 0), (0.17, 0.1, 600), (0.5, 0.2, 1800), (1, 0.3, 3600), (3.9, 0.3, 3600), (4, 0.6, 14_400),
        (11.9, 0.6, 14_400), (12, 0.9, 43_200), (25, 0.9, 86_400), (100, 0.9, 3 * 86_400),
    ],
)  # fmt: skip
def test_a_connection_is_told_again_at_each_level(hours: float, log10_lr: float | None, level_s: int) -> None:
    sight = sights(hours * 3600)[LONG]
    assert (sight.found, sight.log10_lr, sight.threshold) == (log10_lr is not None, log10_lr, level_s)


def test_a_channel_of_short_connections_is_long_too() -> None:
    told = sights(*[590] * 30)
    assert not told[LONG].found
    assert told[LONG_CHANNEL].found
    assert told[LONG_CHANNEL].log10_lr == 0.6
    assert "30 connections" in told[LONG_CHANNEL].explanation


def test_one_connection_is_no_channel_of_many() -> None:
    assert LONG_CHANNEL not in sights(20 * 3600)


@pytest.mark.parametrize(
    ("hours", "carried", "quiet"), [(9, 500_000, True), (9, 600_000, False), (8.9, 10, False), (30, 10, True)]
)
def test_a_connection_that_carries_nothing_for_hours_is_quiet(hours: float, carried: int, *, quiet: bool) -> None:
    assert sights(hours * 3600, payload_bytes_out=carried, payload_bytes_in=0)[QUIET].found is quiet


def test_the_share_of_time_with_traffic_is_told() -> None:
    made = channel({"length_s": 7200})
    kept = sorted(made.slots)
    for slot in kept[1:19]:
        del made.slots[slot]
    told = by_symptom(of_channel(made, AROUND, LIMITS))
    assert told[LONG].explanation == (
        "a connection has lasted for 2 h, which is above the level of 1 h; "
        "something was sent or received in 28% of its five-minute slots"
    )


@pytest.mark.parametrize(
    ("length_s", "text"), [(600, "10 min"), (3600, "1 h"), (43_200, "12 h"), (86_400, "24 h"), (259_200, "3 days")]
)
def test_lengths_are_told_in_the_unit_that_people_use(length_s: int, text: str) -> None:
    assert length_text(length_s) == text


@given(any_channels(), any_surroundings)
def test_anything_that_may_be_remembered_is_taken(made: Channel, around: Surroundings) -> None:
    assert {sight.symptom for sight in of_channel(made, around, LIMITS)} <= {LONG, LONG_CHANNEL, QUIET}


def test_it_is_told_while_the_connection_is_open() -> None:
    made = channel({"length_s": 60, "end_reason": None})
    made.visits[0] = made.visits[0]._replace(end_ns=made.visits[0].start_ns + 5 * 3600 * NS)
    assert by_symptom(of_channel(made, AROUND, LIMITS))[LONG].found
