"""Connections that follow each other at once are one tunnel in pieces."""

from __future__ import annotations

import random

import pytest
from detect_channels import AROUND, any_channels, any_surroundings, channel, found, told
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.channel import Channel, Surroundings
from correlator.detect.symptoms.reconnect import RECONNECTING, ReconnectLimits, of_channel

LIMITS = ReconnectLimits()


def row(lengths_s: list[float], pause_s: float) -> list[dict[str, float]]:
    flows, at = [], 0.0
    for length_s in lengths_s:
        flows.append({"start_s": at, "length_s": length_s})
        at += length_s + pause_s
    return flows


def draws(count: int, sigma: float) -> list[float]:
    rng = random.Random(6)
    return [60 * rng.lognormvariate(0, sigma) for _ in range(count)]


@pytest.mark.parametrize(
    ("flows", "is_found"),
    [
        (row([600] * 6, 1), True),
        (row([600] * 5, 1), True),
        (row([600] * 4, 1), None),
        (row([600, 590, 640, 560, 610, 30], 3), True),
        (row([600] * 6, -1), True),
        (row([600] * 6, -5), False),
        (row([600] * 6, 60), False),
        (row([600] * 4, 60) + row([600] * 3, 1), False),
        (row([3] * 40, 1), None),
        (row(draws(12, 1.0), 1), False),
    ],
    ids=[
        "six", "five", "four", "the last goes on", "a little early", "side by side", "pauses", "rows too short",
        "short ones", "lengths of all kinds",
    ],
)  # fmt: skip
def test_rows_of_one_length_are_found(flows: list[dict[str, float]], *, is_found: bool | None) -> None:
    sight = told(of_channel(channel(*flows), AROUND, LIMITS)).get(RECONNECTING)
    assert (None if sight is None else sight.found) is is_found


def test_short_connections_between_do_not_break_a_row() -> None:
    flows = [*row([600] * 6, 1), *({"start_s": n * 90, "length_s": 0.5} for n in range(40))]
    assert found(of_channel(channel(*flows), AROUND, LIMITS)) == {RECONNECTING}


def test_the_explanation_has_the_figures() -> None:
    (sight,) = of_channel(channel(*row([600] * 6, 1)), AROUND, LIMITS)
    assert sight.explanation == (
        "6 connections followed each other without a break for 3,605 s, 5 of them about 600 s long"
    )


@given(any_channels(), any_surroundings)
def test_anything_that_may_be_remembered_is_taken(made: Channel, around: Surroundings) -> None:
    assert len(list(of_channel(made, around, LIMITS))) <= 1


@given(st.permutations(range(8)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    flows = row([600 + n for n in range(8)], 2)
    one, other = channel(*flows), channel(*(flows[n] for n in order))
    assert list(of_channel(one, AROUND, LIMITS)) == list(of_channel(other, AROUND, LIMITS))
