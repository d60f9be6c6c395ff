"""A store that was written and pruned has no faults; each kind of fault is found, in one line."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import flow
from corr_store import add, stored
from corr_strategies import traffic
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from correlator.config import DAY_S, RetentionSettings
from correlator.store.check import faults
from correlator.store.database import Store
from correlator.store.rebuild import rebuild
from correlator.store.retention import Pruner, Removed


def found(store: Store) -> list[str]:
    return list(faults(store, full=True))


@given(traffic(), st.integers(1, 7))
def test_what_ingest_wrote_has_no_faults(records: list[FlowRecord], size: int) -> None:
    with stored(records, size) as store:
        assert found(store) == []


@given(traffic(), st.booleans())
def test_what_retention_left_has_no_faults(records: list[FlowRecord], rebuilt: bool) -> None:
    with stored(records) as store:
        add(store, [flow(100, start_s=10 * DAY_S)])
        pruner = Pruner(store, RetentionSettings(flows_days=5, hours_days=9))
        while pruner.step(1 << 62) != Removed():
            assert found(store) == []
        add(store, records[:1], link=True)
        if rebuilt:
            rebuild(store, store.built)
        assert found(store) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            "UPDATE channel_periods SET packets_out = packets_out + 1",
            "channel_periods: packets_out adds up to 6, in flow",
        ),
        (
            "UPDATE periods SET channel_uptime_ns = 5",
            "periods: channel_uptime_ns adds up to 5, in channel_periods to 1",
        ),
        (
            "UPDATE client_totals SET connections = 0",
            "client_totals: connections adds up to 0, in channel_periods to 1",
        ),
        ("DELETE FROM services", "flow_records: 1 rows have a service_id that is not in services, such as 1"),
        ("UPDATE record_details SET columns = x'00'", "the details of records 1 to 1 are damaged"),
        ("UPDATE record_details SET fields = 77", "refers to nothing in detail_fields"),
    ],
)
def test_a_fault_is_found(store: Store, change: str, fault: str) -> None:
    add(store, [flow(1)])
    store.conn.execute("PRAGMA foreign_keys = OFF")
    store.conn.execute(change)
    assert any(fault in line for line in found(store)), found(store)


def test_the_command_has_a_line_for_each_fault_and_changes_nothing(castro: Cli, db: Path) -> None:
    assert castro("db", "check").err == f"{db}: nothing is wrong\n"
    with sqlite3.connect(db) as conn:
        conn.execute("UPDATE service_totals SET connections = 0, packets_in = 0")
    done = castro("db", "check", "--full")
    assert done.code == 1
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["service_totals"] * 2
    castro("db", "rebuild")
    assert castro("db", "check").code == 0


def test_a_damaged_page_is_found(castro: Cli, db: Path) -> None:
    with sqlite3.connect(db) as conn:
        (page,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'channel_periods'").fetchone()
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    content = bytearray(db.read_bytes())
    content[(page - 1) * 8192 : (page - 1) * 8192 + 64] = b"\xff" * 64
    db.write_bytes(content)
    done = castro("db", "check")
    assert done.code == 1
    assert done.out or "is not a usable database" in done.err
