"""Channels by name are rolled up as the records say, whichever part of a flow knew its host, and whenever it came."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from corr_flows import flow, parts
from corr_named import known, named_traffic, sessions
from corr_store import stored
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from common.timespan import NS_PER_S as NS
from correlator.config import Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.rows import Selection
from correlator.store import named
from correlator.store.database import Built, Store, writing
from correlator.store.flows import Order
from correlator.store.flows import records as stored_records
from correlator.store.rollup import HOST_TABLES
from correlator.store.sessions import spans_of
from correlator.store.writer import Writer
from correlator.views.uptime import bridge

SIZES = st.integers(1, 7)
_NAMES = {
    "client_id": "(SELECT client FROM clients AS c WHERE c.client_id = t.client_id)",
    "service_id": "(SELECT server || server_port || protocol FROM services AS s WHERE s.service_id = t.service_id)",
    "host_id": "(SELECT host || protocol FROM hosts AS h WHERE h.host_id = t.host_id)",
}


def tables(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every roll-up of hosts, by what the numbers in them stand for.

    Which of several services is in a channel's own row depends on what came first.
    """
    found = {}
    for table in HOST_TABLES:
        columns = [name for _, name, *_ in store.conn.execute(f"PRAGMA table_info({table})")]
        if table == "host_channel_periods":
            columns.remove("service_id")
        expressions = ", ".join(_NAMES.get(name, f"t.{name}") for name in columns)
        rows = f"SELECT {expressions} FROM {table} AS t"
        if table == "host_period_services":
            rows += f""" UNION ALL SELECT {expressions} FROM host_channel_periods AS t WHERE t.service_id IS NOT NULL"""
        found[table] = sorted(store.conn.execute(rows), key=str)
    return found


@given(named_traffic(), SIZES)
def test_sessions_by_name_are_what_brute_force_says(records: list[FlowRecord], size: int) -> None:
    by_channel: dict[tuple[Any, ...], list[Any]] = {}
    for one in known(records):
        by_channel.setdefault((one.client, one.host, one.record.protocol), []).append(one)
    with stored(records, size) as store:
        query = """SELECT c.client, h.host, h.protocol, t.period_start_s, t.first_ns, t.last_ns, t.spans,
                          t.channel_uptime_ns
                   FROM host_channel_periods AS t JOIN clients AS c USING (client_id) JOIN hosts AS h USING (host_id)"""
        pieces: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for *channel, start_s, first, last, spans, uptime in store.conn.execute(query):
            found = spans_of(start_s * NS, 3600 * NS, first, last, spans)
            assert sum(end - start for start, end in found) == uptime
            pieces.setdefault(tuple(channel), []).extend(found)
    joined = {channel: bridge(found, 0) for channel, found in pieces.items()}
    assert joined == {channel: sessions(some) for channel, some in by_channel.items()}


@given(named_traffic(), SIZES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter_to_hosts(
    records: list[FlowRecord], size: int, rng: random.Random
) -> None:
    with stored(records, 100) as one, stored(rng.sample(records, len(records)), size) as other:
        assert tables(one) == tables(other)


@given(named_traffic(), SIZES)
def test_every_rollup_of_hosts_adds_up_to_the_named_records(records: list[FlowRecord], size: int) -> None:
    mine = [one.record for one in known(records)]
    with stored(records, size) as store:
        sums = [
            store.conn.execute(
                f"""SELECT coalesce(sum(connections), 0), coalesce(sum(packets_in), 0),
                    coalesce(sum(wire_bytes_out), 0),
                           coalesce(sum(tcp_uptime_ns), 0), coalesce(sum(channel_uptime_ns), 0), min(first_ns)
                    FROM {table}"""
            ).fetchone()
            for table in HOST_TABLES[:3]
        ]
        clients = dict(store.conn.execute("SELECT host || protocol, clients FROM host_totals NATURAL JOIN hosts"))
    assert len(set(sums)) == 1
    assert sums[0][:4] == (
        sum(record.part == 0 for record in mine),
        sum(record.packets_in for record in mine),
        sum(record.wire_bytes_out for record in mine),
        sum(record.end_ns - record.start_ns for record in mine),
    )
    by_host: dict[str, set[str]] = {}
    for one in known(records):
        by_host.setdefault(f"{one.host}{one.record.protocol}", set()).add(one.client)
    assert clients == {host: len(them) for host, them in by_host.items()}


@given(named_traffic(), SIZES)
def test_built_again_from_all_records_the_rollups_of_hosts_are_the_same(records: list[FlowRecord], size: int) -> None:
    with stored(records, size) as store:
        before = tables(store)
        for table in HOST_TABLES:
            store.conn.execute(f"DELETE FROM {table}")
        named.prepare(store.conn)
        for first in range(1, len(records) + 1, 5):
            named.roll_up_named(store.conn, first, first + 4, store.built)
        assert tables(store) == before


@pytest.fixture
def pipeline(db: Path) -> Any:
    with writing(db, Built(3600, 300)) as store:
        yield Pipeline(Writer(store), Thresholds()), store


def hosts_of(store: Store) -> list[str | None]:
    found = stored_records(store, Selection(), Order("start_ns", ascending=True))
    return [record.host for _, record in found]


def put(pipeline: Pipeline, *records: FlowRecord) -> None:
    pipeline.store_records([("tap", record) for record in records], 0)


def test_a_name_that_comes_late_is_that_of_the_parts_before_and_after(pipeline: Any) -> None:
    first, second, third, fourth = parts(1, [10, 10, 10, 10])
    put(pipeline[0], first, second)
    assert tables(pipeline[1])["host_totals"] == []
    put(pipeline[0], third._replace(host="WWW.example.com"))
    put(pipeline[0], fourth)
    assert hosts_of(pipeline[1]) == ["www.example.com", "www.example.com", "WWW.example.com", "www.example.com"]
    query = (
        "SELECT host, connections, packets_out, tcp_uptime_ns, channel_uptime_ns FROM host_totals NATURAL JOIN hosts"
    )
    assert pipeline[1].conn.execute(query).fetchall() == [("www.example.com", 1, 20, 40 * NS, 40 * NS)]


def test_a_part_with_another_name_keeps_it(pipeline: Any) -> None:
    first, second, third = parts(1, [10, 10, 10])
    put(pipeline[0], first._replace(host="a.example"), second._replace(host="b.example"), third)
    assert hosts_of(pipeline[1]) == ["a.example", "b.example", "a.example"]


def test_a_flow_of_another_sensor_has_its_own_name(pipeline: Any) -> None:
    first, second = parts(1, [10, 10])
    put(pipeline[0], first._replace(host="a.example"))
    pipeline[0].store_records([("other tap", second)], 0)
    assert hosts_of(pipeline[1]) == ["a.example", None]


def test_very_many_parts_before_the_name_are_added_some_at_a_time(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "MAX_RECORDS", 3)
    *before, last = parts(1, [700] * 11)
    put(pipeline[0], *before)
    put(pipeline[0], last._replace(host="a.example"))
    query = "SELECT connections, packets_out, tcp_uptime_ns, channel_uptime_ns FROM host_totals"
    assert pipeline[1].conn.execute(query).fetchall() == [(1, 55, 7700 * NS, 7700 * NS)]


def test_without_a_host_nothing_is_asked_of_the_hosts(pipeline: Any) -> None:
    asked: list[str] = []
    pipeline[1].conn.set_trace_callback(asked.append)
    put(pipeline[0], *(flow(number) for number in range(1, 20)))
    pipeline[1].conn.set_trace_callback(None)
    assert not [text for text in asked if "added_hosts" in text or "host_" in text.replace("host_id", "")]
