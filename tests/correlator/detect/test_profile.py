"""Slots, cells and the calendar of watched periods."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.profile import (
    DAY_S,
    KEPT,
    Calendar,
    Cell,
    Entry,
    Slots,
    Values,
    active,
    clock,
    history,
    weekday,
)

HOUR = 3600
MONDAY = 1_699_833_600
"""2023-11-13T00:00:00Z."""


@given(st.integers(0, 4_000_000_000))
def test_a_slot_is_the_hour_with_weekday_or_weekend(at: int) -> None:
    start = at - at % HOUR
    moment = datetime.fromtimestamp(start, UTC)
    assert Slots(HOUR).slot(start) == moment.hour + (24 if moment.weekday() >= 5 else 0)
    assert weekday(start) == moment.strftime("%A")
    assert clock(start) == moment.strftime("%H:%M")


@pytest.mark.parametrize(
    ("period", "slot", "title"),
    [(HOUR, 14, "14:00 weekday"), (HOUR, 24, "00:00 weekend"), (900, 57, "14:15 weekday"), (DAY_S, 1, "00:00 weekend")],
)
def test_a_slot_has_a_name(period: int, slot: int, title: str) -> None:
    assert Slots(period).title(slot) == title


@given(st.permutations(list(range(40))))
def test_the_order_in_which_hours_are_put_does_not_matter(order: list[int]) -> None:
    cell, expected = Cell(), Cell()
    for number in range(40):
        expected.put(Entry(number * DAY_S, 100, Values(number)), 0)
    for number in order:
        cell.put(Entry(number * DAY_S, 100, Values(number)), 0)
    assert cell == expected


def test_an_hour_that_is_put_again_replaces_itself() -> None:
    cell = Cell()
    cell.put(Entry(MONDAY, 100, Values(1)), 0)
    cell.put(Entry(MONDAY, 5, Values(9)), 0)
    assert cell.entries == [Entry(MONDAY, 5, Values(9))]
    cell.drop(MONDAY)
    assert cell.entries == []


def test_what_is_older_than_the_history_goes() -> None:
    cell = Cell()
    for week in range(10):
        cell.put(Entry(MONDAY + week * 7 * DAY_S, 100, Values(week)), MONDAY + (week - 3) * 7 * DAY_S)
    assert [entry.values.connections for entry in cell.entries] == [6, 7, 8, 9]


def test_hours_without_traffic_are_zeros() -> None:
    slots = Slots(HOUR)
    calendar = Calendar(slots, range(MONDAY, MONDAY + 5 * DAY_S, HOUR))
    cell = Cell([Entry(MONDAY + DAY_S, 100, Values(7))])
    window = calendar.window(0, MONDAY + 5 * DAY_S)
    assert history(cell, window).of("connections") == [(0, 100), (7, 100), (0, 100), (0, 100), (0, 100)]


def test_a_profile_begins_when_its_subject_was_first_seen() -> None:
    calendar = Calendar(Slots(HOUR), range(MONDAY, MONDAY + 5 * DAY_S, HOUR))
    assert list(calendar.window(0, MONDAY + 4 * DAY_S, MONDAY + 2 * DAY_S)) == [MONDAY + 2 * DAY_S, MONDAY + 3 * DAY_S]


def test_a_silence_of_hours_was_watched_and_one_of_days_was_not() -> None:
    slots = Slots(HOUR)
    calendar = Calendar(slots, [MONDAY, MONDAY + 10 * HOUR, MONDAY + 4 * DAY_S])
    assert calendar.count(MONDAY + 5 * DAY_S, 0) == 12
    assert list(calendar.window(5, MONDAY + 5 * DAY_S)) == [MONDAY + 5 * HOUR]
    assert list(calendar.window(11, MONDAY + 5 * DAY_S)) == []


def test_the_window_has_the_latest_28() -> None:
    starts = [MONDAY + day * DAY_S for day in range(100)]
    calendar = Calendar(Slots(HOUR), range(MONDAY, starts[-1] + DAY_S, HOUR))
    weekdays = [start for start in starts if Slots(HOUR).slot(start) == 0]
    assert list(calendar.window(0, weekdays[-1])) == weekdays[-KEPT - 1 : -1]


@given(st.sets(st.integers(0, 500), min_size=1))
def test_a_calendar_that_grows_is_the_calendar_made_at_once(hours: set[int]) -> None:
    starts = [MONDAY + hour * HOUR for hour in sorted(hours)]
    grown = Calendar(Slots(HOUR), starts[:1])
    assert all(grown.add(start) for start in starts)
    whole = Calendar(Slots(HOUR), starts)
    end = starts[-1] + DAY_S
    assert [grown.window(slot, end) for slot in range(48)] == [whole.window(slot, end) for slot in range(48)]


def test_a_period_before_the_latest_asks_for_a_new_calendar() -> None:
    calendar = Calendar(Slots(HOUR), [MONDAY + DAY_S])
    assert not calendar.add(MONDAY)


def test_the_active_hours_are_those_of_all_slots_before_a_time() -> None:
    cells = [Cell([Entry(10, 100, Values(1)), Entry(30, 5, Values(2))]), Cell([Entry(20, 100, Values(3))])]
    assert active(cells, 30).of("connections") == [(1, 100), (3, 100)]
