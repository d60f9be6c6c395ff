"""Long connections and channels."""

from __future__ import annotations

import pytest
from corr_flows import NS, T0, flow

from correlator.detect.channel import Channel, Surroundings, new_channel
from correlator.detect.symptom import Sight
from correlator.detect.symptoms.duration import LONG, LONG_CHANNEL, DurationLimits, of_channel

AROUND = Surroundings(T0, 1, 10, T0, 0)


def sights(*lengths_s: float) -> dict[str, Sight]:
    channel: Channel = new_channel(flow())
    start_s = 0.0
    for number, length_s in enumerate(lengths_s):
        channel.add(flow(number, start_s=start_s, length_s=length_s), "1", begins=True, gap_ns=300 * NS)
        start_s += length_s + 10
    return {sight.symptom: sight for sight in of_channel(channel, AROUND, DurationLimits())}


@pytest.mark.parametrize(
    ("hours", "found", "log10_lr"), [(3.9, False, None), (4, True, None), (11.9, True, None), (12, True, 0.9)]
)
def test_a_connection_is_long_from_four_hours_on_and_worth_more_from_twelve(
    hours: float, log10_lr: float | None, *, found: bool
) -> None:
    sight = sights(hours * 3600)[LONG]
    assert (sight.found, sight.log10_lr) == (found, log10_lr)


def test_a_channel_of_short_connections_is_long_too() -> None:
    found = sights(*[1800] * 9)
    assert not found[LONG].found
    assert found[LONG_CHANNEL].found
    assert "9 connections" in found[LONG_CHANNEL].explanation


def test_one_connection_is_no_channel_of_many() -> None:
    assert LONG_CHANNEL not in sights(20 * 3600)
