"""What holds for any records: roll-ups, sessions and repeats agree with the records themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from corr_flows import T0, flow, parts
from corr_store import rollups_of, stored
from corr_strategies import moments, traffic
from hypothesis import given
from hypothesis import strategies as st

from common.addresses import address_text
from common.records import FlowRecord
from common.timespan import NS_PER_S as NS
from correlator.config import Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.rows import FlowFigures, Selection
from correlator.store import queries
from correlator.store.database import Built, Store, writing
from correlator.store.evolution import evolution
from correlator.store.flows import Order, flow_figures, flow_parts, minute_flows, open_flows
from correlator.store.flows import records as stored_records
from correlator.store.rollup import TABLES
from correlator.store.sessions import spans_of
from correlator.store.writer import Writer
from correlator.views.figures import Figures, total
from correlator.views.merge import merge_parts
from correlator.views.uptime import Interval, bridge

GAP_NS = 300 * 10**9
MINUTE_NS = 60 * 10**9
SIZES = st.integers(1, 7)


def sessions_of(store: Store) -> dict[tuple[Any, ...], list[Interval]]:
    """Return {channel: when it stood up}, the pieces of each session put together."""
    query = """SELECT c.client, s.server, s.server_port, s.protocol, t.period_start_s, t.first_ns, t.last_ns, t.spans
               FROM channel_periods AS t JOIN clients AS c USING (client_id) JOIN services AS s USING (service_id)"""
    pieces: dict[tuple[Any, ...], list[Interval]] = {}
    for *channel, start_s, first, last, spans in store.conn.execute(query):
        found = spans_of(start_s * NS, 3600 * NS, first, last, spans)
        assert all(start_s * NS <= a <= b <= (start_s + 3600) * NS for a, b in found)
        pieces.setdefault(tuple(channel), []).extend(found)
    return {channel: bridge(found, 0) for channel, found in pieces.items()}


def brute_force(intervals: Sequence[Interval]) -> list[Interval]:
    """Join any two intervals that are near enough until none are."""
    joined = list(intervals)
    changed = True
    while changed:
        changed = False
        for i in range(len(joined)):
            for j in range(i + 1, len(joined)):
                (a, b), (c, d) = joined[i], joined[j]
                if max(a, c) - min(b, d) <= GAP_NS:
                    joined[i] = (min(a, c), max(b, d))
                    del joined[j]
                    changed = True
                    break
            if changed:
                break
    return sorted(joined)


@given(traffic(), SIZES)
def test_sessions_are_what_brute_force_says(records: list[FlowRecord], size: int) -> None:
    by_channel: dict[tuple[Any, ...], list[Interval]] = {}
    for record in records:
        channel = (address_text(record.client_ip), address_text(record.server_ip), record.server_port, record.protocol)
        by_channel.setdefault(channel, []).append((record.start_ns, record.end_ns))
    with stored(records, size) as store:
        assert sessions_of(store) == {channel: brute_force(intervals) for channel, intervals in by_channel.items()}


@given(traffic(), SIZES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(records: list[FlowRecord], size: int, rng: random.Random) -> None:
    shuffled = rng.sample(records, len(records))
    with stored(records) as one, stored(shuffled, size) as other:
        assert sessions_of(one) == sessions_of(other)
        assert rollups_of(one) == rollups_of(other)


@given(traffic(), SIZES, moments, moments, st.booleans())
def test_rollup_and_records_give_the_same_channels(
    records: list[FlowRecord], size: int, since: int | None, until: int | None, wire: bool
) -> None:
    chosen = Selection(since_ns=since, until_ns=until, protocol=None, wire=wire)
    with stored(records, size) as store:
        by_rollup = sorted(queries.channels(store, chosen))
        assert by_rollup == sorted(queries.channels(store, chosen, use_rollup=False))


@given(traffic(), SIZES, moments, moments)
def test_channels_periods_minutes_and_flows_add_up_to_the_same(
    records: list[FlowRecord], size: int, since: int | None, until: int | None
) -> None:
    chosen = Selection(since_ns=since, until_ns=until, protocol=None)
    with stored(records, size) as store:
        found = [
            [row.figures for row in queries.channels(store, chosen)],
            [row.figures for row in queries.periods(store, chosen)],
            [row.figures for row in queries.minutes(store, chosen)],
            [row.figures for row in flow_figures(store, chosen)],
        ]
        sums = [total(rows)._replace(channel_uptime_ns=0) for rows in found if rows]
        assert len(sums) in (0, 4)
        assert all(figure == sums[0] for figure in sums)


@given(traffic(), SIZES, moments, moments, st.booleans())
def test_flows_of_minutes_are_what_brute_force_says(
    records: list[FlowRecord], size: int, since: int | None, until: int | None, wire: bool
) -> None:
    by_start = [
        record
        for record in sorted(records, key=lambda record: (record.start_ns, record.flow_id, record.part))
        if record.protocol == 6
        and (since is None or record.start_ns >= since)
        and (until is None or record.start_ns < until)
    ]
    minutes: dict[tuple[int, int], list[FlowRecord]] = {}
    for record in by_start:
        minutes.setdefault((record.flow_id, record.start_ns // MINUTE_NS), []).append(record)
    ended = {record.flow_id for record in by_start if record.end_reason is not None}
    expected = [flow_of(some, wire=wire, is_open=flow_id not in ended) for (flow_id, _), some in minutes.items()]
    with stored(records, size) as store:
        assert list(minute_flows(store, Selection(since, until, wire=wire))) == expected


def flow_of(records: Sequence[FlowRecord], *, wire: bool, is_open: bool) -> FlowFigures:
    """Return what records of one flow amount to."""
    (names,) = {
        (address_text(one.client_ip), one.client_port, address_text(one.server_ip), one.server_port, one.protocol)
        for one in records
    }
    uptime = sum(one.end_ns - one.start_ns for one in records)
    figures = Figures(
        connections=sum(one.part == 0 for one in records),
        packets_out=sum(one.packets_out for one in records),
        packets_in=sum(one.packets_in for one in records),
        bytes_out=sum(one.wire_bytes_out if wire else one.payload_bytes_out for one in records),
        bytes_in=sum(one.wire_bytes_in if wire else one.payload_bytes_in for one in records),
        tcp_uptime_ns=uptime,
        channel_uptime_ns=uptime,
        first_ns=min(one.start_ns for one in records),
        last_ns=max(one.end_ns for one in records),
        last_start_ns=max(one.flow_start_ns for one in records),
    )
    return FlowFigures("tap", records[0].flow_id, *names, open=is_open, figures=figures)


@given(traffic(), SIZES)
def test_every_rollup_adds_up_to_the_same(records: list[FlowRecord], size: int) -> None:
    with stored(records, size) as store:
        sums = {
            table: store.conn.execute(
                f"""SELECT sum(connections), sum(packets_out), sum(packets_in), sum(wire_bytes_out), sum(wire_bytes_in),
                           sum(payload_bytes_out), sum(payload_bytes_in), sum(tcp_uptime_ns), sum(channel_uptime_ns),
                           min(first_ns), max(last_ns), max(last_start_ns) FROM {table}"""
            ).fetchone()
            for table in TABLES
        }
        assert set(sums.values()) == {sums["channel_periods"]}
        assert sums["periods"][0] == sum(record.part == 0 for record in records)
        assert sums["periods"][7] == sum(record.end_ns - record.start_ns for record in records)


@given(traffic(), SIZES)
def test_counts_of_distinct_things_are_those_of_the_records(records: list[FlowRecord], size: int) -> None:
    def period(record: FlowRecord) -> int:
        return record.start_ns // (3600 * NS) * 3600

    def service(record: FlowRecord) -> tuple[Any, ...]:
        return (record.server_ip, record.server_port, record.protocol)

    with stored(records, size) as store:
        for (start, protocol), *counts in (
            ((row[0], row[1]), *row[2:])
            for row in store.conn.execute(
                "SELECT period_start_s, protocol, clients, services, channels FROM periods WHERE first_ns IS NOT NULL"
            )
        ):
            mine = [record for record in records if period(record) == start and record.protocol == protocol]
            assert counts == [
                len({record.client_ip for record in mine}),
                len({service(record) for record in mine}),
                len({(record.client_ip, service(record)) for record in mine}),
            ]
        for table, counted, keys, of in (
            ("client_totals", "services", lambda r: (r.client_ip, r.protocol), service),
            ("service_totals", "clients", service, lambda r: r.client_ip),
            ("client_periods", "services", lambda r: (period(r), r.client_ip, r.protocol), service),
            ("service_periods", "clients", lambda r: (period(r), service(r)), lambda r: r.client_ip),
        ):
            things: dict[Any, set[Any]] = {}
            for record in records:
                things.setdefault(keys(record), set()).add(of(record))
            found = [row[0] for row in store.conn.execute(f"SELECT {counted} FROM {table} WHERE first_ns IS NOT NULL")]
            assert sorted(found) == sorted(map(len, things.values())), table


@given(traffic(), SIZES)
def test_period_uptimes_add_up_to_the_channels(records: list[FlowRecord], size: int) -> None:
    chosen = Selection(protocol=None)
    with stored(records, size) as store:
        by_channel = sum(row.figures.channel_uptime_ns for row in queries.channels(store, chosen))
        assert by_channel == sum(evolution(store, chosen, "channel-uptime", 3600 * NS).values())
        # A session goes on through periods in which no record began, and those have no row.
        assert sum(row.figures.channel_uptime_ns for row in queries.periods(store, chosen)) <= by_channel


@given(traffic(), SIZES)
def test_storing_again_adds_nothing(records: list[FlowRecord], size: int) -> None:
    with stored(records, size) as store:
        before = list(store.conn.iterdump())
        pipeline = Pipeline(Writer(store), Thresholds())
        again = pipeline.store_records([("tap", record) for record in records], 0)
        assert (again.records, again.duplicates) == (0, len(records))
        changed = set(store.conn.iterdump()) ^ set(before)
        assert all('INTO "sensors"' in line for line in changed)


@given(traffic(), SIZES)
def test_flows_are_their_parts_merged(records: list[FlowRecord], size: int) -> None:
    with stored(records, size) as store:
        for sensor, parts in flow_parts(store, Selection(protocol=None), Order()):
            expected = sorted((r for r in records if r.flow_id == parts[0].flow_id), key=lambda r: r.part)
            assert (sensor, parts) == ("tap", expected)
            merged = merge_parts(parts)
            assert merged.packets_out == sum(part.packets_out for part in expected)
            assert (merged.part, merged.start_ns) == (0, expected[0].start_ns)
            assert merged.end_ns == expected[-1].end_ns
            assert merged.end_reason == expected[-1].end_reason


@given(traffic(), SIZES, moments, moments, st.booleans(), st.integers(1, 5))
def test_the_first_flows_of_a_client_are_the_beginning_of_all_of_them(
    records: list[FlowRecord], size: int, since: int | None, until: int | None, ascending: bool, limit: int
) -> None:
    chosen = Selection(since_ns=since, until_ns=until, client="10.0.0.1", protocol=None)
    with stored(records, size) as store:
        whole = list(flow_parts(store, chosen, Order("start_ns", ascending)))
        assert list(flow_parts(store, chosen, Order("start_ns", ascending, limit))) == whole[:limit]
        flows: dict[int, list[FlowRecord]] = {}
        for record in records:
            if record.client_ip == bytes((10, 0, 0, 1)) and (since or 0) <= record.start_ns < (until or 1 << 62):
                flows.setdefault(record.flow_id, []).append(record)
        assert {parts[0].flow_id: parts for _, parts in whole} == {
            number: sorted(found, key=lambda record: record.part) for number, found in flows.items()
        }


@given(traffic())
def test_open_flows_are_those_without_an_end(records: list[FlowRecord]) -> None:
    ended = {record.flow_id for record in records if record.end_reason is not None}
    with stored(records) as store:
        assert open_flows(store, Selection(protocol=None)) == len({r.flow_id for r in records} - ended)


def test_a_database_names_what_it_was_built_with(db: Path) -> None:
    with writing(db, Built(900, 60)) as store:
        assert store.built == Built(900, 60)
    with writing(db, Built(3600, 300)) as store:
        assert store.built == Built(900, 60)


def uptimes_s(store: Store, chosen: Selection) -> list[float]:
    return [row.figures.channel_uptime_ns / NS for row in queries.channels(store, chosen)]


@pytest.mark.parametrize("order", [1, -1])
def test_a_session_that_ended_with_its_period_goes_on_after_a_silence_of_the_whole_gap(order: int) -> None:
    end = T0 // (3600 * NS) * 3600 * NS + 3600 * NS
    records = [
        flow(1, start_ns=end - 10 * NS, end_ns=end),
        flow(2, start_ns=end + 300 * NS, end_ns=end + 301 * NS),
    ]
    with stored(records[::order], 1) as store:
        assert uptimes_s(store, Selection()) == [311]


def test_records_decades_apart_cost_nothing_for_the_time_between() -> None:
    asked: list[str] = []
    records = [flow(1, start_ns=0, end_ns=NS), flow(2, start_ns=1000 * NS, end_ns=1001 * NS), flow(3), flow(4)]
    with stored([]) as store:
        pipeline = Pipeline(Writer(store), Thresholds())
        store.conn.set_trace_callback(asked.append)
        pipeline.store_records([("tap", record) for record in records], 0)
        store.conn.set_trace_callback(None)
        assert uptimes_s(store, Selection()) == [12]
    assert len(asked) < 200


def test_a_flow_is_shown_whichever_of_its_parts_are_in_the_selection() -> None:
    set_back = [flow(1, end_reason=None, start_s=100), flow(1, part=1, start_s=50)]
    chosen = Selection(until_ns=T0 + 70 * NS)
    with stored(set_back) as store:
        assert [len(found) for _, found in flow_parts(store, chosen, Order("start_ns"))] == [1]
        assert [len(found) for _, found in flow_parts(store, chosen, Order("end_ns"))] == [1]


def test_times_of_other_protocols_with_the_same_host_are_left_out() -> None:
    records = [flow(1, host="a.example", length_s=5), flow(2, host="a.example", protocol=17, length_s=900)]
    with stored(records) as store:
        chosen = Selection(host="a.example")
        assert uptimes_s(store, chosen) == [5]
        assert [row.figures.channel_uptime_ns / NS for row in queries.periods(store, chosen)] == [5]


def test_sums_beyond_63_bits_in_any_row_harm_no_other() -> None:
    values = "(VALUES (1, 5), (2, 6), (3, :huge), (3, :huge), (4, 7))"
    rows = f"WITH t (k, v) AS {values} SELECT k, sum(t.v) FROM t GROUP BY 1"
    with stored([]) as store:
        found = list(queries.rows_of(store.conn, rows, {"huge": (1 << 63) - 1}))
    assert [*found[:2], found[3]] == [(1, 5), (2, 6), (4, 7)]
    assert found[2][1] == pytest.approx(1 << 64)


def test_flows_of_forged_counters_can_be_sorted_by_them() -> None:
    records = [flow(1, part=part, end_reason=None, start_s=part) for part in range(3)]
    with stored(records) as store:
        store.conn.execute("UPDATE flow_records SET payload_bytes_out = 1 << 62")
        found = list(flow_parts(store, Selection(), Order("payload_bytes_out")))
        assert [len(several) for _, several in found] == [3]


def test_flows_of_a_host_are_shown_and_counted_with_all_their_parts() -> None:
    named = [part._replace(host="a.example" if part.part == 1 else None) for part in parts(1, [60, 60], closed=False)]
    chosen = Selection(host="a.example")
    with stored([*named, flow(2, host="b.example")]) as store:
        named = [part._replace(host="a.example") for part in named]
        assert [found for _, found in flow_parts(store, chosen, Order())] == [named]
        assert [found for _, found in flow_parts(store, chosen, Order("end_ns"))] == [named]
        assert [record for _, record in stored_records(store, chosen, Order(ascending=True))] == named
        assert [(row.flow_id, row.open) for row in flow_figures(store, chosen)] == [(1, True)]
        assert open_flows(store, chosen) == 1
