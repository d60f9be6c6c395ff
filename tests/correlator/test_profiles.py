"""What was learned on disk: cells, the periods they are made of, and whose they are."""

from __future__ import annotations

from corr_flows import flow
from corr_store import add

from correlator.detect.alarm import Severity, alarm_id
from correlator.detect.baseline import Subject
from correlator.detect.baseline import alarm as baseline_alarm
from correlator.detect.profile import DAY_S, HISTORY_S, Entry, Level, Values
from correlator.store import profiles
from correlator.store.alarms import acknowledge, store_alarms
from correlator.store.database import Store
from correlator.store.profiles import Id, Names

HOUR = 3600
T0_S = 1_699_999_200
"""The hour of the flows that begin at T0."""
FOREVER = 4_000_000_000


def test_a_period_is_learned_from_once_and_again_when_records_came(store: Store) -> None:
    add(store, [flow(1), flow(2, start_s=HOUR)])
    assert profiles.changed_periods(store.conn, 0, FOREVER) == [T0_S, T0_S + HOUR]
    assert profiles.changed_periods(store.conn, 0, T0_S) == [T0_S]
    for period_s in (T0_S, T0_S + HOUR):
        profiles.note_learned(store.conn, period_s)
    assert profiles.changed_periods(store.conn, 0, FOREVER) == []
    add(store, [flow(3)])
    assert profiles.changed_periods(store.conn, 0, FOREVER) == [T0_S]
    assert profiles.learned_periods(store.conn) == [T0_S, T0_S + HOUR]
    assert (profiles.first_period(store.conn), profiles.last_period(store.conn)) == (T0_S, T0_S + HOUR)


def rows(store: Store, level: Level, period_s: int) -> dict[str, Values]:
    names = Names(store.conn)
    return {names.subject(row.id).text: row.values for row in profiles.rows_of(store.conn, level, period_s, (6,))}


def test_the_figures_are_those_of_the_roll_ups(store: Store) -> None:
    later = {"start_s": 2 * DAY_S, "host": "A.example"}
    add(store, [flow(1, host="a.example"), flow(2, **later), flow(3, **later, server_ip="192.0.2.9"),
                flow(4, start_s=2 * DAY_S, protocol=17)])  # fmt: skip
    at = T0_S + 2 * DAY_S
    assert rows(store, Level.CLIENT, at) == {"10.0.0.1": Values(2, 1000, 1480, 20, 20)}
    assert rows(store, Level.SERVICE, at) == {
        "192.0.2.1:443": Values(1, 500, 740, 10, 10),
        "192.0.2.9:443": Values(1, 500, 740, 10, 10),
    }
    # a channel that was first seen in this hour is not learned yet
    assert rows(store, Level.CHANNEL, at) == {"10.0.0.1 -> 192.0.2.1:443": Values(1, 500, 740, 10, 10)}
    assert rows(store, Level.NAMED, at) == {"10.0.0.1 -> a.example": Values(2, 1000, 1480, 20, 10)}


def test_a_profile_begins_with_the_first_hour_and_that_of_a_channel_a_day_later(store: Store) -> None:
    add(store, [flow(1, host="a.example")])
    names = Names(store.conn)
    client, service, host = names.client("10.0.0.1"), names.service("192.0.2.1", 443, 6), names.host("a.example", 6)
    assert client is not None
    assert service is not None
    assert host is not None

    def since(level: Level, of_client: int, thing: int) -> int | None:
        return profiles.since_of(store.conn, Id(level, of_client, thing, 6), HOUR)

    assert since(Level.CLIENT, client, 0) == T0_S
    assert since(Level.SERVICE, 0, service) == T0_S
    assert since(Level.CHANNEL, client, service) == T0_S + DAY_S + HOUR
    assert since(Level.NAMED, client, host) == T0_S + DAY_S + HOUR
    assert since(Level.CLIENT, client + 1, 0) is None


def test_names_that_are_not_there_have_no_number(store: Store) -> None:
    names = Names(store.conn)
    assert (names.client("10.9.9.9"), names.service("10.9.9.9", 1, 6), names.host("b.example", 6)) == (None, None, None)


CLIENT = Id(Level.CLIENT, 1, 0, 6)


def test_cells_come_back_by_slot(store: Store) -> None:
    for day in range(3):
        profiles.put(store.conn, [(CLIENT, Entry(T0_S + day * DAY_S, 100, Values(day)))], slot=22)
    profiles.put(store.conn, [(CLIENT, Entry(T0_S + HOUR, 5, Values(9)))], slot=23)
    found = profiles.cells(store.conn, CLIENT)
    assert [entry.values.connections for entry in found[22].entries] == [0, 1, 2]
    assert found[23] == profiles.cell(store.conn, CLIENT, 23)
    assert profiles.cell(store.conn, CLIENT, 1).entries == []
    assert profiles.extent(store.conn)[3:] == (1, 0, 0, 0, 2)


def test_what_is_old_is_forgotten_once_a_day(store: Store) -> None:
    profiles.put(store.conn, [(CLIENT, Entry(T0_S, 100, Values(1)))], slot=22)
    profiles.forget_old(store.conn, T0_S + HISTORY_S)
    assert profiles.cells(store.conn, CLIENT)
    profiles.forget_old(store.conn, T0_S + HISTORY_S + DAY_S)
    assert not profiles.cells(store.conn, CLIENT)


def test_all_is_forgotten_at_once(store: Store) -> None:
    add(store, [flow(1)])
    profiles.note_learned(store.conn, T0_S)
    profiles.put(store.conn, [(CLIENT, Entry(T0_S, 100, Values(1)))], slot=22)
    profiles.forget_profiles(store.conn)
    assert profiles.extent(store.conn) == (0, None, None, 0, 0, 0, 0, 0)
    assert profiles.changed_periods(store.conn, 0, FOREVER) == [T0_S]


def test_alarms_of_a_time_are_known_until_they_are_acknowledged(store: Store) -> None:
    add(store, [flow(1)])
    raised = baseline_alarm(
        Subject(Level.CHANNEL, "10.0.0.1", "192.0.2.1:443", None, 6), [], Severity.MEDIUM, T0_S, T0_S * 10**9 + 5
    )
    quiet = raised._replace(subject="other", client="10.0.0.2", severity=Severity.LOW)
    store_alarms(store.conn, [raised, quiet])
    profiles.note_learned(store.conn, T0_S)
    start_ns, end_ns = T0_S * 10**9, (T0_S + HOUR) * 10**9
    assert profiles.alarmed(store.conn, start_ns, end_ns) == {("10.0.0.1", "192.0.2.1:443", None)}
    assert profiles.alarmed(store.conn, end_ns, end_ns + 1) == set()
    name = alarm_id(raised)
    assert not profiles.is_acknowledged(store.conn, name)
    acknowledge(store.conn, name, 77)
    assert profiles.is_acknowledged(store.conn, name)
    assert not profiles.is_acknowledged(store.conn, "none")
    assert profiles.alarmed(store.conn, start_ns, end_ns) == set()
    assert profiles.changed_periods(store.conn, 0, FOREVER) == []
    profiles.unlearn_acknowledged(store.conn, HOUR)
    assert profiles.changed_periods(store.conn, 0, FOREVER) == [T0_S]
    profiles.note_learned(store.conn, T0_S)
    profiles.unlearn_acknowledged(store.conn, HOUR)
    assert profiles.changed_periods(store.conn, 0, FOREVER) == []
