"""What is odd for a client is told once the client is known."""

from __future__ import annotations

from typing import Any

import pytest
from corr_flows import NS
from detect_channels import any_channels, any_surroundings, channel, found, told
from hypothesis import given

from correlator.detect.channel import Channel, Surroundings
from correlator.detect.habits import Habits
from correlator.detect.symptoms.context import (
    ODD_HOUR,
    ODD_PORT,
    ODD_SERVER,
    ContextLimits,
    of_channel,
)

LIMITS = ContextLimits()
DAY_NS = 86_400 * NS
MONDAY = 19_002


def worker(days: int = 28) -> Habits:
    """Somebody who works from 8 to 17 h on weekdays, and whose mail comes from one server every five minutes."""
    made = Habits()
    for day in range(days):
        if day % 7 >= 5:
            continue
        for hour in range(8, 17):
            start_ns = (MONDAY + day) * DAY_NS + hour * 3600 * NS
            for n in range(20):
                made.add(start_ns, 443, f"site{hour}{n}.example")
                made.add(start_ns, 993, "mail.example")
    return made


HABITS = worker()


def sights(day: int = 28, hour: int = 10, habits: Habits = HABITS, **changes: Any) -> set[str]:
    start_ns = (MONDAY + day) * DAY_NS + hour * 3600 * NS
    around = Surroundings(start_ns + 10 * NS, 1, 10, start_ns, 30 * DAY_NS, habits)
    return found(of_channel(channel({"start_ns": start_ns}, **changes), around, LIMITS))


@pytest.mark.parametrize(
    ("changes", "odd"),
    [
        ({}, set()),
        ({"hour": 16}, set()),
        ({"hour": 17}, {ODD_HOUR}),
        ({"hour": 3}, {ODD_HOUR}),
        ({"day": 26}, set()),  # a Saturday; nothing is known of Saturdays
        ({"server_port": 4444}, {ODD_PORT}),
        ({"server_port": 4444, "hour": 3}, {ODD_HOUR, ODD_PORT}),
        ({"server_port": 993}, {ODD_SERVER}),
        ({"server_port": 993, "host": "mail.example"}, set()),
        ({"host": "new.example"}, set()),
    ],
    ids=["usual", "late", "too late", "night", "Saturday", "port", "port at night", "server", "its server", "new site"],
)
def test_what_is_odd_for_a_client(changes: dict[str, Any], odd: set[str]) -> None:
    assert sights(**changes) == odd


@pytest.mark.parametrize("days", [0, 1, 10])
def test_nothing_is_odd_for_a_client_that_is_not_known(days: int) -> None:
    assert sights(days, 3, worker(days), server_port=4444) == set()


def test_a_poller_that_calls_every_night_is_not_odd() -> None:
    habits = worker()
    for day in range(26, 56):
        for hour in range(24):
            habits.add((MONDAY + day) * DAY_NS + hour * 3600 * NS, 443, "update.example")
    assert sights(56, 3, habits) == set()


def test_a_client_without_habits_is_not_tested() -> None:
    assert not list(of_channel(channel({}), Surroundings(0, 1, 10, 0, 0), LIMITS))


def test_the_explanations_say_what_is_usual() -> None:
    start_ns = (MONDAY + 28) * DAY_NS + 3 * 3600 * NS
    around = Surroundings(start_ns, 1, 10, start_ns, 0, HABITS)
    answers = told(of_channel(channel({"start_ns": start_ns}, server_port=4444), around, LIMITS))
    assert answers[ODD_HOUR].explanation == (
        "connections began at 03h UTC; this client was active in that hour on 0% of such days"
    )
    assert answers[ODD_PORT].explanation.endswith(
        "of this client's connections go to ports as rare for it as 4444, or rarer"
    )


@given(any_channels(), any_surroundings)
def test_anything_that_may_be_remembered_is_taken(made: Channel, around: Surroundings) -> None:
    names = {sight.symptom for sight in of_channel(made, around._replace(habits=HABITS), LIMITS)}
    assert names <= {ODD_HOUR, ODD_PORT, ODD_SERVER}
