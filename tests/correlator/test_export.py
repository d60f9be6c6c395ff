"""Records by columns are the records."""

from __future__ import annotations

from corr_flows import flow, parts
from corr_store import add, stored
from corr_strategies import traffic
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from common.textrecords import FLOW_COLUMNS, flow_row
from correlator.rows import Selection
from correlator.store.database import Store
from correlator.store.export import columns, exported


@given(traffic(), st.integers(1, 7))
def test_with_details_they_are_what_flows_shows(records: list[FlowRecord], at_once: int) -> None:
    with stored(records) as store:
        found = []
        for batch in columns(store, Selection(protocol=None), details=True, at_once=at_once):
            assert tuple(batch) == FLOW_COLUMNS
            rows = [dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)]
            assert len(rows) <= at_once
            found += [{**row, "flow_id": str(row["flow_id"])} for row in rows]
    expected = [flow_row(record, "tap") for record in records]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_a_selection_takes_some_of_them(store: Store) -> None:
    add(store, [*parts(1, [60, 60]), flow(2, client_ip="10.0.0.9"), flow(3, protocol=17)])
    for chosen, ids in (
        (Selection(), [1, 1, 2]),
        (Selection(protocol=None), [1, 1, 2, 3]),
        (Selection(client="10.0.0.9"), [2]),
        (Selection(server_port=1), []),
    ):
        found = [number for batch in columns(store, chosen, details=False) for number in batch["flow_id"]]
        assert sorted(found) == ids
    assert "vlan" not in exported(details=False)


def test_a_host_is_exported_as_it_was_spelled_and_chosen_in_any_case() -> None:
    records = [flow(1, host="WWW.example.com"), flow(2, host="www.example.com"), flow(3, host="b.example"), flow(4)]
    with stored(records) as store:
        (found,) = columns(store, Selection(host="*.example.com"), details=True)
        assert list(found["host"]) == ["WWW.example.com", "www.example.com"]
        (every,) = columns(store, Selection(), details=True)
        assert list(every["host"]) == [record.host for record in records]
