"""Host names and channels by name, whichever way a selection is answered, are what brute force says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import T0, flow
from corr_named import Known, chosen_of, figures, known, named_traffic
from corr_store import stored
from corr_strategies import moments
from hypothesis import given, settings
from hypothesis import strategies as st

from common.records import FlowRecord
from common.timespan import NS_PER_S as NS
from correlator.rows import HostChannelRow, HostRow, Selection
from correlator.store.flows import Order, flow_parts
from correlator.store.hosts import Best, host_channels, hosts
from correlator.views.ranking import MEASURES, host_channel_nodes, host_nodes, lists, ranked_record

selections = st.builds(
    Selection,
    since_ns=moments,
    until_ns=moments,
    server_port=st.none(),
    server_ports=st.none(),
    client=st.sampled_from([None, None, "10.0.0.1", "10.0.0.2/31", "10.0.0.0/30"]),
    server=st.sampled_from([None, None, None, "192.0.2.1"]),
    host=st.sampled_from([None, None, "a.example", "*.example", "c.example"]),
    protocol=st.sampled_from([6, 17, None]),
    wire=st.booleans(),
)


def brute_hosts(records: Sequence[FlowRecord], chosen: Selection) -> list[HostRow]:
    all_known = known(records)
    found = []
    for host in sorted({one.host for one in chosen_of(all_known, chosen)}):
        own = chosen._replace(host=host)
        some = chosen_of(all_known, own)
        clients, services = {one.client for one in some}, {one.service for one in some}
        found.append(HostRow(host, len(clients), len(services), figures(all_known, some, own)))
    return found


def brute_channels(records: Sequence[FlowRecord], chosen: Selection) -> list[HostChannelRow]:
    all_known: list[Known] = known(records)
    found = []
    for client, host in sorted({(one.client, one.host) for one in chosen_of(all_known, chosen)}):
        own = chosen._replace(host=host, client=client)
        some = chosen_of(all_known, own)
        found.append(HostChannelRow(client, host, len({one.service for one in some}), figures(all_known, some, own)))
    return found


@given(named_traffic(), st.integers(1, 7), selections)
def test_hosts_are_what_brute_force_says(records: list[FlowRecord], size: int, chosen: Selection) -> None:
    with stored(records, size) as store:
        assert sorted(hosts(store, chosen)) == brute_hosts(records, chosen)


@given(named_traffic(), st.integers(1, 7), selections)
def test_channels_by_name_are_what_brute_force_says(records: list[FlowRecord], size: int, chosen: Selection) -> None:
    with stored(records, size) as store:
        assert sorted(host_channels(store, chosen)) == brute_channels(records, chosen)


@given(
    named_traffic(),
    st.tuples(moments, st.sampled_from([6, None])).map(lambda pair: Selection(since_ns=pair[0], protocol=pair[1])),
    st.sampled_from(list(MEASURES)),
    st.integers(1, 3),
    st.booleans(),
)
@settings(max_examples=40)
def test_the_best_are_those_of_all(
    records: list[FlowRecord], chosen: Selection, by: str, count: int, bottom: bool
) -> None:
    def told(nodes: Any, per: str | None) -> list[Any]:
        return [[ranked_record(line) for line in one] for one in lists(nodes, by, count, bottom=bottom, per=per)]

    with stored(records, 100) as store:
        best = Best(by, count, bottom)
        assert told(host_nodes(hosts(store, chosen, best)), None) == told(host_nodes(hosts(store, chosen)), None)
        for per in ("client", "host"):
            some = host_channel_nodes(host_channels(store, chosen, best._replace(per=per)))
            assert told(some, per) == told(host_channel_nodes(host_channels(store, chosen)), per)
            assert all(len(one) <= count for one in told(some, per))


def test_no_more_rows_are_read_than_are_wanted() -> None:
    records = [flow(number, host=f"{number % 5}.example", client_ip=f"10.0.0.{number % 3}") for number in range(1, 31)]
    with stored(records, 100) as store:
        assert len(hosts(store, Selection(), Best("connections", 2))) == 2
        assert len(host_channels(store, Selection(), Best("connections", 2, per="client"))) == 6
        assert len(host_channels(store, Selection(), Best("connections", 2, per="host"))) == 10


def test_a_host_on_several_services_counts_each_once() -> None:
    records = [
        flow(number, host="a.example", server_ip=f"192.0.2.{number % 4}", start_s=number) for number in range(20)
    ]
    later = [flow(100, host="a.example", server_ip="192.0.2.9", start_s=7200)]
    with stored([*records, *later], 7) as store:
        for since, services in ((None, 5), (T0 + 3600 * NS, 1), (T0 - 3600 * NS, 5), (T0 + 18 * NS, 3)):
            (found,) = hosts(store, Selection(since_ns=since))
            assert found.services == services


def test_a_host_is_up_per_client() -> None:
    records = [
        flow(1, host="a.example", start_s=0, length_s=10),
        flow(2, host="a.example", start_s=200, length_s=10, server_ip="192.0.2.9"),
        flow(3, host="a.example", start_s=205, length_s=10, client_ip="10.0.0.2"),
        flow(4, host="a.example", start_s=0, length_s=1, protocol=17),
    ]
    with stored(records, 2) as store:
        assert [row.figures.channel_uptime_ns for row in hosts(store, Selection())] == [220 * NS]
        assert [row.figures.channel_uptime_ns for row in hosts(store, Selection(protocol=None))] == [221 * NS]
        found = {row.client: row.figures.channel_uptime_ns for row in host_channels(store, Selection())}
        assert found == {"10.0.0.1": 210 * NS, "10.0.0.2": 10 * NS}


def test_forged_figures_that_overflow_are_near_the_truth() -> None:
    most = (1 << 46) - 1
    records = [flow(number, host="a.example", payload_bytes_out=most, start_s=number) for number in range(1, 4)]
    with stored(records, 2) as store:
        for table in ("host_totals", "host_channel_totals"):
            store.conn.execute(f"UPDATE {table} SET payload_bytes_out = 1 << 61")
        (found,) = hosts(store, Selection())
        assert found.figures.bytes_out == 1 << 61


def test_flows_are_chosen_by_host_among_those_of_clients_and_services() -> None:
    records = [
        flow(number, host=f"{number % 2}.Example", client_ip=f"10.0.0.{number % 3}", start_s=number)
        for number in range(12)
    ]
    with stored(records, 5) as store:
        for chosen in (
            Selection(host="1.example"),
            Selection(host="1.example", client="10.0.0.2"),
            Selection(host="*.example", client="10.0.0.2", server="192.0.2.1"),
        ):
            mine = {one.record.flow_id for one in chosen_of(known(records), chosen)}
            assert mine
            for order in (Order(limit=50), Order("packets_out")):
                assert {parts[0].flow_id for _, parts in flow_parts(store, chosen, order)} == mine


@pytest.mark.parametrize("subject", ["hosts", "clients"])
def test_averages_over_lists_by_name_take_every_measure(castro: Cli, subject: str) -> None:
    per = {"hosts": "client", "clients": "host"}[subject]
    assert castro.json("top", subject, "--per", per, "--average") == []
