"""Selections as SQL: the way to the rows depends on how many clients and services are named, and the rows do not."""

from __future__ import annotations

import pytest
from corr_flows import NS, T0, flow
from corr_store import stored
from corr_strategies import traffic
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from correlator.rows import Selection
from correlator.store import evolution, queries, where
from correlator.store.flows import Order, flow_parts

CHOICES = st.builds(
    Selection,
    client=st.sampled_from([None, "10.0.0.0/30"]),
    server=st.sampled_from([None, "192.0.2.0/24"]),
    server_port=st.sampled_from([None, 443]),
    server_ports=st.none(),
    host=st.sampled_from([None, "a.example"]),
    protocol=st.sampled_from([None, 6, 17]),
    wire=st.booleans(),
    since_ns=st.sampled_from([None, T0, T0 + 3600 * NS]),
    until_ns=st.sampled_from([None, T0 + 9000 * NS]),
)


@given(traffic(), CHOICES)
def test_many_names_give_what_few_give(records: list[FlowRecord], chosen: Selection) -> None:
    with stored(records) as store, pytest.MonkeyPatch.context() as patch:
        found = []
        for few in (1000, 1, 0):
            patch.setattr(where, "_FEW", few)
            found.append(
                (
                    sorted(queries.channels(store, chosen)),
                    queries.periods(store, chosen),
                    queries.minutes(store, chosen),
                    evolution.evolution(store, chosen, "outbound", 3600 * NS),
                    list(flow_parts(store, chosen, Order(limit=3))),
                )
            )
        assert found[1:] == found[:1] * 2


def test_many_services_are_not_looked_for_in_every_period() -> None:
    records = [flow(n, start_s=n * 3600, server_ip=f"192.0.{n // 250}.{n % 250}") for n in range(1, 1201)]
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with stored(records, 1200) as store:
        store.conn.set_progress_handler(step, 1000)
        assert len(queries.periods(store, Selection(server_port=443))) == 1200
    assert steps < 500
