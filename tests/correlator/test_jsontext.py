"""Lists as JSON text say what the same lists say as view records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.rows import BucketRow, ClientRow, FlowFigures, ServiceRow
from correlator.views import _jsontext
from correlator.views.clients import client_record
from correlator.views.figures import Figures
from correlator.views.jsontext import (
    Below,
    FlowRow,
    FlowWriter,
    Names,
    bucket_lines,
    client_lines,
    ordered_buckets,
    service_lines,
    sortable,
    with_lines,
)
from correlator.views.periods import bucket_node
from correlator.views.servers import service_record
from correlator.views.tree import FIGURE_FIELDS, Node, Sorting, flow_node, ordered, record, sorted_nodes

CLIENTS = {1: "10.1.1.1", 2: "2001:db8::7"}
SERVICES = {1: ("192.0.2.1", 443, 6), 2: ("2001:db8::1", 53, 17), 3: ("198.51.100.9", 0, 132)}
SENSORS = {1: "tap", 2: 'a "quoted"\\ näme'}
NAMES = Names(CLIENTS, SERVICES, SENSORS)

moments = st.one_of(st.integers(0, 2**62), st.integers(0, 5 * 10**9), st.integers(0, 10**9).map(lambda s: s * 10**9))
durations = st.one_of(st.integers(0, 10**10), st.integers(0, 2**61), st.integers(0, 10**6).map(lambda s: s * 10**9))
counts = st.integers(0, 2**62)
figures = st.builds(Figures, counts, counts, counts, counts, counts, durations, durations, moments, moments, moments)
flow_rows = st.builds(
    FlowRow,
    st.sampled_from(sorted(CLIENTS)), st.sampled_from(sorted(SERVICES)), st.sampled_from(sorted(SENSORS)),
    st.integers(0, 2**63 - 1), st.integers(0, 65_535), st.booleans(), st.integers(0, 3), st.integers(0, 3), counts,
    counts, counts, durations, moments, moments,
)  # fmt: skip


def node(row: FlowRow) -> Node:
    """The flow as the views had it before: an object."""
    server, port, protocol = SERVICES[row.service_id]
    mine = Figures(*row[6:11], row.tcp_uptime_ns, row.tcp_uptime_ns, row.first_ns, row.last_ns, 0)
    names = (SENSORS[row.sensor_id], row.flow_id, CLIENTS[row.client_id], row.client_port, server, port, protocol)
    return flow_node(FlowFigures(*names, row.open, mine))


def listed(text: bytes) -> Any:
    return json.loads(b"[" + text + b"]")


@given(st.lists(flow_rows, max_size=8), st.sampled_from([*FIGURE_FIELDS, "none"]), st.booleans())
def test_flows_are_written_and_sorted_as_their_nodes_are(rows: list[FlowRow], field: str, ascending: bool) -> None:
    sorting = Sorting(field, ascending)
    expected = [record(one) for one in sorted_nodes(map(node, rows), sorting)]
    assert listed(FlowWriter(NAMES, sorting, b",").lines(rows)) == expected


@given(st.lists(st.builds(BucketRow, moments, counts, counts, figures), max_size=5))
def test_minutes_are_written_as_their_nodes_are(rows: list[BucketRow]) -> None:
    assert [json.loads(text) for text in bucket_lines(rows, "minute")] == [
        record(bucket_node("minute", row)) for row in rows
    ]


@given(
    st.lists(st.builds(BucketRow, moments, counts, counts, figures), max_size=5, unique_by=lambda row: row.start_ns),
    st.sampled_from(FIGURE_FIELDS),
    st.booleans(),
)
def test_minutes_are_sorted_as_their_nodes_are(rows: list[BucketRow], field: str, ascending: bool) -> None:
    nodes = ordered([bucket_node("minute", row) for row in rows], field, ascending=ascending)
    assert [bucket_node("minute", row) for row in ordered_buckets(rows, Sorting(field, ascending))] == nodes


@given(st.lists(st.builds(ClientRow, st.sampled_from(sorted(CLIENTS.values())), counts, figures), max_size=5))
def test_clients_are_written_as_their_records_are(rows: list[ClientRow]) -> None:
    assert listed(client_lines(rows, b",")) == [client_record(row) for row in rows]


services = st.sampled_from(sorted(SERVICES.values()))


@given(st.lists(st.tuples(services, counts, figures), max_size=5))
def test_services_are_written_as_their_records_are(drawn: list[tuple[tuple[str, int, int], int, Figures]]) -> None:
    rows = [ServiceRow(*service, clients, mine) for service, clients, mine in drawn]
    assert listed(service_lines(rows, b",")) == [service_record(row) for row in rows]


def test_what_is_below_stands_under_the_names_above_it() -> None:
    mine = Figures(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    nodes = [
        Node(
            {"client": "a"},
            {"services": 2},
            mine,
            (Node({"server": "b:1"}, {}, mine), Node({"server": "c:1"}, {}, mine)),
        )
    ]
    below = Below({("a", "b:1"): [b'{"x": 1}', b'{"x": 2}']}, lambda names: tuple(names.values()), b",")
    (found,) = with_lines(nodes, below)
    first, second = found["children"]
    assert json.loads(bytes(first["children"])) == [{"x": 1}, {"x": 2}]
    assert "children" not in second
    assert first["tcp_uptime_s"] == second["tcp_uptime_s"] == 6e-9


@pytest.mark.parametrize(("field", "can"), [("last", True), ("none", True), ("services", False), ("port", False)])
def test_only_by_figures_flows_are_sorted_here(field: str, can: bool) -> None:
    assert sortable(Sorting(field)) is can


FIELDS = (("n", _jsontext.COUNT, 0, None), ("t", _jsontext.TIME, 1, None), ("s", _jsontext.SECONDS, 2, None))


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((0, 0, 0), '{"n": 0, "t": "1970-01-01T00:00:00Z", "s": 0}'),
        ((-1, -5, -1_500_000_000), '{"n": -1, "t": "1970-01-01T00:00:00Z", "s": -1.5}'),
        ((2**63 - 1, 2**63 - 1, 0), '{"n": 9223372036854775807, "t": "2262-04-11T23:47:16.854775807Z", "s": 0}'),
        ((-(2**63), 951_782_400 * 10**9, 0), '{"n": -9223372036854775808, "t": "2000-02-29T00:00:00Z", "s": 0}'),
        ((2**70, 2**70, 0), '{"n": 1180591620717411303424, "t": "9999-12-31T23:59:59Z", "s": 0}'),
        ((1, 1_000, 1), '{"n": 1, "t": "1970-01-01T00:00:00.000001Z", "s": 0.000000001}'),
    ],
)
def test_numbers_and_times_at_their_bounds(row: tuple[int, int, int], text: str) -> None:
    assert _jsontext.objects([row], FIELDS, b",").decode() == text


def test_what_is_of_another_kind_is_an_error_and_no_list_is_no_text() -> None:
    assert _jsontext.objects([], FIELDS, b",") == b""
    with pytest.raises(TypeError):
        _jsontext.objects([("x", 0, 0)], FIELDS, b",")
    with pytest.raises(IndexError):
        _jsontext.objects([(1,)], FIELDS, b",")
    with pytest.raises(KeyError):
        _jsontext.objects([(1,)], [("w", _jsontext.WORD, 0, {})], b",")
