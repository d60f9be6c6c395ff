"""What is noted of a channel's day."""

from __future__ import annotations

import pytest

from correlator.detect.channel import Channel, Key, Sighting
from correlator.detect.channelday import DAY_S, ChannelDay, kind_of, note
from correlator.detect.judge import Judgement, probability_of

DAY = 19_675 * DAY_S


def channel(second: int) -> Channel:
    return Channel("10.0.0.1", "a.example", 443, 6, last_ns=(DAY + second) * 10**9)


def judgement(log10_odds: float) -> Judgement:
    return Judgement(log10_odds, probability_of(log10_odds), ())


def test_only_what_is_new_is_noted() -> None:
    one = channel(5)
    seen = {"long-channel": Sighting(tested=1), "rare-peer": Sighting(tested=1, found=1)}
    assert note(one, judgement(-3), seen) == ChannelDay(
        DAY, one.key, -3, alarmed=False, tested=frozenset(seen), found=frozenset(["rare-peer"])
    )
    assert note(one, judgement(-3), seen) is None
    assert note(one, judgement(-3.5), seen) is None
    assert note(one, judgement(-2), seen) is not None
    seen["long-channel"].found = 1
    assert note(one, judgement(-3), seen) is not None


def test_a_new_day_is_new() -> None:
    one = channel(5)
    assert note(one, judgement(-1), {}) is not None
    one.last_ns += DAY_S * 10**9
    again = note(one, judgement(-3), {})
    assert again is not None
    assert (again.day_s, again.log10_odds) == (DAY + DAY_S, -3)


@pytest.mark.parametrize(("odds", "alarmed"), [(-3, False), (-1.5, False), (-0.9, True), (3, True)])
def test_what_alarmed_is_medium_by_its_evidence(odds: float, alarmed: bool) -> None:
    found = note(channel(5), judgement(odds), {})
    assert found is not None
    assert found.alarmed is alarmed


@pytest.mark.parametrize(("port", "kind"), [(443, "6-web"), (3128, "6-web"), (25, "6-other")])
def test_the_web_is_compared_with_the_web(port: int, kind: str) -> None:
    assert kind_of(Key("10.0.0.1", "a.example", port, 6)) == kind
