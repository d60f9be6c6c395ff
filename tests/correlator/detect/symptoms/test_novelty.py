"""How well known a peer is speaks for and against, where it can be told."""

from __future__ import annotations

import pytest
from detect_channels import any_channels, any_surroundings, channel, found, told
from hypothesis import given

from correlator.detect.channel import DAY_NS, Channel, Surroundings
from correlator.detect.symptoms.novelty import (
    KNOWN,
    NEW,
    NEW_AND_ALONE,
    OLD,
    POPULAR,
    RARE,
    SYMPTOMS,
    NoveltyLimits,
    of_channel,
)

LIMITS = NoveltyLimits()
DAY_0 = 19_000


def around(
    peer_clients: int = 1, clients: int = 20, first_days_ago: float = 0, history_days: float = 60
) -> Surroundings:
    now = DAY_0 * DAY_NS
    return Surroundings(now, peer_clients, clients, now - int(first_days_ago * DAY_NS), int(history_days * DAY_NS))


@pytest.mark.parametrize(
    ("surroundings", "names"),
    [
        (around(), {NEW, NEW_AND_ALONE}),
        (around(first_days_ago=7), {NEW, NEW_AND_ALONE}),
        (around(2), {NEW, KNOWN}),
        (around(first_days_ago=8), {KNOWN}),
        (around(first_days_ago=31), {KNOWN, OLD}),
        (around(10, first_days_ago=40), {KNOWN, OLD, POPULAR}),
        (around(10), {NEW, KNOWN, POPULAR}),
        (around(history_days=13), set()),
        (around(10, history_days=13), {POPULAR}),
        (around(1, clients=100, history_days=13), {RARE}),
        (around(3, clients=100, history_days=13), set()),
        (around(1, clients=49, history_days=13), set()),
        (around(2, clients=4, history_days=13), set()),
        (around(0, clients=0, history_days=0), set()),
    ],
    ids=[
        "new and alone", "a week", "new, two clients", "eight days", "a month", "popular", "popular from the first day",
        "short history", "popular needs no history", "rare", "not rare", "few clients", "too few clients", "nothing",
    ],
)  # fmt: skip
def test_peers(surroundings: Surroundings, names: set[str]) -> None:
    assert found(of_channel(channel(host="a.example"), surroundings, LIMITS)) == names


def test_what_is_not_new_is_told_to_be_absent() -> None:
    sights = told(of_channel(channel(host="a.example"), around(first_days_ago=9), LIMITS))
    assert not sights[NEW].found
    assert not sights[NEW_AND_ALONE].found


@pytest.mark.parametrize(
    ("port", "host", "judged"), [(3128, None, False), (3128, "a.example", True), (443, None, True)]
)
def test_a_proxy_is_not_the_peer(port: int, host: str | None, *, judged: bool) -> None:
    made = channel({}, server_port=port, host=host)
    assert bool(list(of_channel(made, around(10), LIMITS))) is judged


def test_what_speaks_against_a_tunnel_is_negative() -> None:
    signs = {symptom.name: symptom.log10_lr > 0 for symptom in SYMPTOMS}
    assert signs == {NEW_AND_ALONE: True, NEW: True, RARE: True, KNOWN: False, OLD: False, POPULAR: False}


@given(any_channels(), any_surroundings)
def test_anything_that_may_be_known_is_taken(made: Channel, surroundings: Surroundings) -> None:
    assert {sight.symptom for sight in of_channel(made, surroundings, LIMITS)} <= {s.name for s in SYMPTOMS}
