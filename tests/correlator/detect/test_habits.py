"""A client's habits are learned, fade, and stay small."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.timespan import NS_PER_S
from correlator.detect.habits import Habits

HOUR_NS = 3600 * NS_PER_S
MONDAY = 19_002
"""A day number, of 2022-01-10, a Monday."""


def at(day: int, hour: float) -> int:
    return (MONDAY + day) * 24 * HOUR_NS + int(hour * HOUR_NS)


def worker(days: int = 28) -> Habits:
    """Somebody who works from 8 to 17 h on weekdays, mostly on the web, with mail from one server."""
    made = Habits()
    for day in range(days):
        if day % 7 < 5:
            for hour in range(8, 17):
                for n in range(6):
                    made.add(at(day, hour), 443, f"site{hour}{n}.example")
                made.add(at(day, hour), 993, "mail.example")
    return made


@pytest.mark.parametrize(("hour", "active"), [(at(28, 9), 1.0), (at(28, 16), 1.0), (at(28, 17), 0.0), (at(28, 3), 0.0)])
def test_hours_are_known_by_the_kind_of_day(hour: int, active: float) -> None:
    share, weight = worker().active_share(hour // HOUR_NS)
    assert share == pytest.approx(active)
    assert weight > 5


def test_nothing_is_known_of_a_weekend_without_activity() -> None:
    assert worker().active_share(at(26, 12) // HOUR_NS) == (0.0, 0.0)


def test_the_last_two_days_are_not_learned_yet() -> None:
    made = worker(25)  # up to a Friday
    for _ in range(50):
        made.add(at(25, 3), 4444, "evil.example")
        made.add(at(26, 3), 4444, "evil.example")
    assert made.port_rarity(4444) == pytest.approx(1 / (made.flows + 1))
    made.add(at(28, 9), 443, "a.example")
    made.add(at(29, 9), 443, "a.example")
    assert made.port_rarity(4444) > 0.05


def test_known_days_run_from_the_first_day_learned() -> None:
    assert Habits().known_days(at(0, 0)) == 0
    assert worker(28).known_days(at(27, 12)) == 27


def test_what_is_usual_fades() -> None:
    made = worker()
    before = made.flows
    for day in (60, 61, 62):
        made.add(at(day, 9), 22, "b.example")
    assert made.flows < before / 2**4
    assert made.port_rarity(443) == 1.0


@pytest.mark.parametrize(("port", "most"), [(993, 1.0), (443, 1.0), (25, 0.01)])
def test_rare_ports_are_rare(port: int, most: float) -> None:
    rarity = worker().port_rarity(port)
    assert 0 < rarity <= most
    assert rarity > most / 20


def test_servers_are_predictable_on_one_port_and_not_on_the_other() -> None:
    made = worker()
    assert made.server_entropy(993) == pytest.approx(0.0, abs=1e-9)
    assert made.server_entropy(443) is None  # 54 of them, of which 32 are kept
    assert made.server_entropy(25) is None
    assert made.server_rarity(993, "other.example") < 0.02 < made.server_rarity(993, "mail.example")


def test_what_comes_too_late_is_left_out() -> None:
    made = worker()
    kept = msgspec.msgpack.encode(made)
    made.add(at(3, 9), 443, "a.example")
    assert msgspec.msgpack.encode(made) == kept


_connections = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 23), st.integers(0, 65_535), st.integers(0, 1000)), max_size=150
)


@settings(max_examples=60)
@given(_connections)
def test_it_stays_small_and_every_share_is_one(connections: list[tuple[int, int, int, int]]) -> None:
    made = Habits()
    for day, hour, port, server in connections:
        made.add(at(day, hour), port, f"server{server}.example")
        for repeat in range(3):
            made.add(at(day, hour), port % 5, f"server{server}{repeat}.example")
    assert len(made.days) <= 2
    assert len(made.ports) <= 128
    assert len(made.servers) <= 8
    assert all(len(servers) <= 32 for servers in made.servers.values())
    assert all(0 <= made.active_share(hour)[0] <= 1 + 1e-9 for hour in range(200))
    assert all(0 <= made.port_rarity(port) <= 1 for port in (0, 1, 443))
    assert all((made.server_entropy(port) or 0) >= 0 for port in range(5))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Habits) == made


def test_the_most_there_can_be_is_some_kilobytes() -> None:
    made = Habits()
    for day in range(6):
        for number in range(20_000):
            made.add(at(day, number % 24), number % 300, f"a-rather-long-name-{number}.example.com")
    assert len(msgspec.msgpack.encode(made)) < 48_000


@given(st.permutations(range(40)))
def test_within_a_day_the_order_does_not_matter(order: list[int]) -> None:
    def learned(numbers: list[int]) -> Habits:
        made = Habits()
        for number in numbers:
            made.add(at(0, number % 24), 443 + number % 3, f"s{number % 4}")
        made.add(at(1, 0), 443, "s")
        made.add(at(2, 0), 443, "s")
        return made

    assert learned(order) == learned(list(range(40)))
