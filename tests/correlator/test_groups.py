"""Groups by SQL are what the channels amount to, put together in Python."""

from __future__ import annotations

from typing import Any

import pytest
from corr_flows import NS, flow
from corr_store import stored
from corr_strategies import traffic
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from correlator.rows import Selection
from correlator.store import groups, queries
from correlator.views.clients import client_names, client_nodes, client_record, client_view
from correlator.views.ranking import channel_nodes, ranked
from correlator.views.servers import server_nodes, server_view, service_names, service_record
from correlator.views.summary import overall_of
from correlator.views.tree import Sorting, ordered_rows, record, sorted_nodes

HOUR_NS = 3600 * 10**9
SIZES = st.integers(1, 7)
# All time, and whole periods of the traffic's few hours.
_SPANS = [(first * HOUR_NS, last * HOUR_NS) for first in range(472222, 472226) for last in (472225, 472228)]
TIMES = st.sampled_from([(None, None), *_SPANS])
FIELDS = ("connections", "bytes_out", "bytes_in", "packets_in", "tcp_uptime_s", "channel_uptime_s", "first", "last")
ORDERS = st.tuples(st.sampled_from(FIELDS), st.booleans(), st.integers(1, 4))
selections = st.builds(
    Selection,
    client=st.sampled_from([None, "10.0.0.1", "10.0.0.0/31", "0.0.0.0/0", "fd00::/8"]),
    server=st.sampled_from([None, "192.0.2.1", "192.0.2.0/24"]),
    server_port=st.sampled_from([None, 443]),
    server_ports=st.sampled_from([None, (1, 100), (80, 443)]),
    protocol=st.sampled_from([None, 6, 17]),
    wire=st.booleans(),
    since_ns=st.none(),
    until_ns=st.none(),
    host=st.none(),
)


def asked(chosen: Selection, times: tuple[int | None, int | None]) -> Selection:
    return chosen._replace(since_ns=times[0], until_ns=times[1])


@given(traffic(), SIZES, selections, TIMES, ORDERS)
def test_first_lists_are_the_beginnings_of_whole_ones(
    records: list[FlowRecord], size: int, chosen: Selection, times: Any, order: tuple[str, bool, int]
) -> None:
    with stored(records, size) as store:
        chosen = asked(chosen, times)
        part = groups.rolled(store, chosen)
        if part is None:  # a range that ends before it begins
            assert queries.channels(store, chosen) == []
            return
        channels = queries.channels(store, chosen)
        first, sorting = groups.First._make(order), Sorting(*order[:2])
        for found, whole in (
            (client_nodes(groups.clients(store, chosen, part, first)), client_view(channels, (), 1)),
            (server_nodes(groups.services(store, chosen, part, first)), server_view(channels, (), 1)),
            (channel_nodes(groups.channels(store, chosen, part, first)), channel_nodes(channels)),
        ):
            assert found == sorted_nodes(whole, sorting)[: first.limit]


@given(traffic(), SIZES, selections, ORDERS, st.integers(1, 3))
def test_first_channels_are_the_same_however_few_are_looked_at_first(
    records: list[FlowRecord], size: int, chosen: Selection, order: tuple[str, bool, int], more: int
) -> None:
    with stored(records, size) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "_MORE", more)
        part = groups.rolled(store, chosen)
        assert part is not None
        found = channel_nodes(groups.channels(store, chosen, part, groups.First._make(order)))
        assert found == sorted_nodes(channel_nodes(queries.channels(store, chosen)), Sorting(*order[:2]))[: order[2]]


@given(traffic(), SIZES, selections, TIMES, st.lists(ORDERS, max_size=3))
def test_whole_lists_and_the_sum_of_all_are_the_same(
    records: list[FlowRecord], size: int, chosen: Selection, times: Any, orders: list[tuple[str, bool, int]]
) -> None:
    with stored(records, size) as store:
        chosen = asked(chosen, times)
        part = groups.rolled(store, chosen)
        channels = queries.channels(store, chosen)
        if part is not None:
            assert sorted(client_nodes(groups.clients(store, chosen, part)), key=repr) == sorted(
                client_view(channels, (), 1), key=repr
            )
            assert sorted(server_nodes(groups.services(store, chosen, part)), key=repr) == sorted(
                server_view(channels, (), 1), key=repr
            )
            for field, ascending, _ in orders:
                sorting, how = Sorting(field, ascending), {"ascending": ascending}
                clients, services = (
                    list(groups.clients(store, chosen, part)),
                    list(groups.services(store, chosen, part)),
                )
                assert list(map(client_record, ordered_rows(clients, client_names, field, **how))) == list(
                    map(record, sorted_nodes(client_nodes(clients), sorting))
                )
                assert list(map(service_record, ordered_rows(services, service_names, field, **how))) == list(
                    map(record, sorted_nodes(server_nodes(services), sorting))
                )
        assert (groups.overall(store, chosen) or overall_of(channels)) == overall_of(channels)


@pytest.mark.parametrize("chosen", [Selection(host="a.example"), Selection(since_ns=5, until_ns=HOUR_NS)])
def test_roll_ups_alone_do_not_answer_for_names_and_parts_of_periods(chosen: Selection) -> None:
    with stored([]) as store:
        assert groups.rolled(store, chosen) is None


def test_ties_go_by_name_as_text() -> None:
    records = [flow(n, server_ip=f"192.0.2.{n}", server_port=443) for n in (1, 2, 9, 10, 11, 100)]
    records += [flow(20, client_ip="fd00::1", server_ip="fd00::2", server_port=443)]
    with stored(records) as store:
        part = groups.rolled(store, Selection())
        assert part is not None
        whole = server_nodes(groups.services(store, Selection(), part))
        found = server_nodes(
            groups.services(store, Selection(), part, groups.First("connections", ascending=False, limit=3))
        )
        assert found == [line.node for line in ranked(whole, "connections", 3, bottom=False)]


def test_a_channel_that_only_stood_up_in_a_range_counts_for_nobody_there() -> None:
    """Its session goes on from the hour before; its client has a record there, of another channel."""
    hour_ns = 3600 * NS
    start = 1_700_002_800 * NS
    records = [
        flow(1, start_ns=start - hour_ns // 2, end_ns=start + NS // 10, protocol=17),
        flow(2, start_ns=start, end_ns=start),
    ]
    chosen = Selection(since_ns=start, protocol=None)
    with stored(records) as store:
        part = groups.rolled(store, chosen)
        assert part is not None
        (client,) = groups.clients(store, chosen, part)
        (service,) = groups.services(store, chosen, part)
        (channel,) = queries.channels(store, chosen)
    assert client.services == service.clients == 1
    assert client.figures == service.figures == channel.figures
