"""Records in columns, and back."""

from __future__ import annotations

from corr_flows import flow
from hypothesis import given
from hypothesis import strategies as st
from rec_records import flows

from common.records import FlowRecord
from correlator.columns import AT, columns_of
from correlator.store.columns import DETAILS, details_of, rows


@given(st.lists(flows(), min_size=1, max_size=4))
def test_columns_are_the_records_turned_round(records: list[FlowRecord]) -> None:
    columns = columns_of(records)
    assert [FlowRecord._make(row) for row in zip(*columns, strict=True)] == records
    assert columns[AT["flow_id"]] == tuple(record.flow_id for record in records)


def test_of_no_record_there_is_no_column() -> None:
    assert columns_of([]) == ()


def test_a_column_of_details_that_nobody_knows_is_none() -> None:
    details = dict(zip(DETAILS, details_of(columns_of([flow(1, splt=((1, 2),)), flow(2)])), strict=True))
    assert details["splt"] == (((1, 2),), None)
    assert details["max_idle_ns"] is None
    assert details["missed_bytes_in"] == (0, 0)


def test_a_record_belongs_to_the_period_of_its_start() -> None:
    moment = 7200 * 10**9
    columns = columns_of([flow(n, start_ns=start) for n, start in enumerate((moment - 1, moment, moment + 1), 1)])
    assert [row[5] for row in rows(1, 1, ([1] * 3, [1] * 3, [None] * 3), 3600, columns)] == [3600, 7200, 7200]
