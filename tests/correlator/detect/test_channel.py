"""What is remembered of a channel is bounded, and right."""

from __future__ import annotations

import msgspec
import pytest
from corr_flows import NS, T0, flow, parts
from hypothesis import given, settings
from hypothesis import strategies as st

from common.records import FlowRecord
from correlator.detect.channel import HOUR_NS, MAX_VISITS, Channel, Key, Sighting, key_of, new_channel
from correlator.detect.symptom import absent, present

GAP_NS = 300 * NS


def channel(*records: FlowRecord) -> Channel:
    made = new_channel(flow())
    for record in records:
        made.add(record, str(record.flow_id), begins=record.part == 0, gap_ns=GAP_NS)
    return made


def test_a_channel_is_known_by_name_where_there_is_one_and_by_address_else() -> None:
    assert key_of(flow()) == Key("10.0.0.1", "192.0.2.1", 443, 6)
    assert key_of(flow(host="Www.Example.ORG")) == Key("10.0.0.1", "www.example.org", 443, 6)


def test_sums_and_sessions() -> None:
    made = channel(flow(1, length_s=10), flow(2, start_s=100, length_s=5), flow(3, start_s=1000, length_s=1))
    assert (made.flows, made.bytes_out, made.bytes_in) == (3, 1500, 2220)
    assert made.tcp_uptime_ns == 16 * NS
    assert (made.first_ns, made.last_ns) == (T0, T0 + 1001 * NS)
    assert (made.session_start_ns, made.session_flows) == (T0 + 1000 * NS, 1)
    assert [visit.start_ns for visit in made.visits] == [T0, T0 + 100 * NS, T0 + 1000 * NS]


def test_the_parts_of_a_flow_are_one_visit() -> None:
    made = channel(*parts(9, [60, 60, 30], payload_bytes_out=10, payload_bytes_in=1))
    (visit,) = made.visits
    assert (visit.end_ns - visit.start_ns, visit.bytes_out, visit.bytes_in) == (150 * NS, 30, 3)
    assert (made.flows, made.bytes_out) == (1, 30)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=300))
def test_nothing_grows_without_bound(times: list[tuple[int, int]]) -> None:
    made = channel(*(flow(n, start_s=start, length_s=length) for n, (start, length) in enumerate(times)))
    assert len(made.visits) == min(len(times), MAX_VISITS)
    assert made.visits == sorted(made.visits)
    assert len(made.hours) <= 48
    assert len(made.slots) <= 576
    assert len(made.latest_flows) <= 20


@given(st.permutations(range(6)))
def test_hours_and_slots_do_not_depend_on_the_order(order: list[int]) -> None:
    records = [flow(n, start_s=n * 1700, length_s=40) for n in range(6)]
    one, other = channel(*records), channel(*(records[n] for n in order))
    assert (one.hours, one.slots, one.visits) == (other.hours, other.slots, other.visits)
    assert sum(hour.connections for hour in one.hours.values()) == 6
    assert T0 // HOUR_NS in one.hours


def test_slots_hold_all_that_was_sent() -> None:
    made = channel(flow(1, length_s=3000, payload_bytes_out=1005), flow(2, payload_bytes_out=0, payload_bytes_in=0))
    assert sum(made.slots.values()) == 1005
    assert len(made.slots) == 11
    assert set(made.slots.values()) == {91, 95}


def test_what_is_remembered_survives_being_kept() -> None:
    made = channel(*parts(9, [60, 60]), flow(3, start_s=500, host="a.example"))
    made.sighting("x").add(present("x", 3.0, 2.0, "three"), T0, "9")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Channel) == made


def test_the_strongest_answer_stands_and_flows_are_counted() -> None:
    seen = Sighting()
    seen.add(present("x", 3.0, 2.0, "three"), T0, "1")
    seen.add(present("x", 5.0, 2.0, "five"), T0 + 5, "2")
    seen.add(present("x", 4.0, 2.0, "four"), T0 + 9, "3")
    seen.add(absent("x"), T0 + 20, "4")
    assert (seen.tested, seen.found, seen.value, seen.explanation) == (4, 3, 5.0, "five")
    assert (seen.first_ns, seen.last_ns, seen.flows) == (T0, T0 + 9, ["1", "2", "3"])


@pytest.mark.parametrize(("before", "left"), [(T0, {"x"}), (T0 + 1, set())])
def test_symptoms_lapse(before: int, left: set[str]) -> None:
    made = channel(flow())
    made.sighting("x").add(present("x", 3.0, 2.0, "three"), T0, "1")
    made.forget_before(before)
    assert set(made.sightings) == left


def test_an_alarm_goes_on_while_it_comes_again_within_the_window() -> None:
    made, day = channel(flow()), 86_400 * NS
    began = made.alarmed(day)
    assert T0 - day < began <= T0
    made.add(flow(2, start_s=80_000), "2", begins=True, gap_ns=GAP_NS)
    assert made.alarmed(day) == began
    made.add(flow(3, start_s=300_000), "3", begins=True, gap_ns=GAP_NS)
    assert made.alarmed(day) > began
