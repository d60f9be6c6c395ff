"""What is old goes, a little at a time, and everything that is kept stays true."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from corr_cli import Cli
from corr_flows import NS, T0, flow, parts
from corr_store import add, rollups_of, stored
from corr_strategies import traffic
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from common.textrecords import flow_row
from correlator.config import DAY_S, RetentionSettings
from correlator.rows import Selection
from correlator.store import queries
from correlator.store.database import Store, reading
from correlator.store.flows import Order, open_flows, records
from correlator.store.meta import FLOWS_REMOVED, PERIODS_REMOVED, noted
from correlator.store.rebuild import rebuild
from correlator.store.retention import Pruner, Removed

FOR_EVER = RetentionSettings(flows_days=0, hours_days=0)
NOW = T0 + 400 * DAY_S * NS
ALL = Selection(protocol=None)
PERIOD_TABLES = ("periods", "client_periods", "service_periods", "channel_periods")


def day(number: int, flow_id: int, **changes: object) -> FlowRecord:
    return flow(flow_id, start_s=number * DAY_S, **changes)


def ids(store: Store) -> list[int]:
    return sorted({record.flow_id for _, record in records(store, ALL, Order())})


def prune(store: Store, settings: RetentionSettings, now_ns: int = NOW, most: int = 3) -> Removed:
    pruner = Pruner(store, settings)
    total = Removed()
    while (removed := pruner.step(now_ns, most)) != Removed():
        total = Removed(total.records + removed.records, total.periods + removed.periods)
    return total


def remove_before(store: Store, until_s: int, most: int) -> None:
    while Pruner(store, FOR_EVER)._remove_records(until_s, most):
        pass


@given(traffic(), traffic(), st.integers(0, 8), st.integers(1, 5), st.integers(1, 5))
def test_rollups_survive_their_flows_and_a_rebuild(
    before: list[FlowRecord], after: list[FlowRecord], hours: int, most: int, size: int
) -> None:
    until_s = (T0 // NS // 3600 + hours) * 3600
    later = [record._replace(flow_id=record.flow_id + 100) for record in after]
    with stored(before, size) as store, stored([*before, *later]) as whole:
        remove_before(store, until_s, most)
        add(store, later, size, link=True)
        kept = rollups_of(store)
        assert kept == rollups_of(whole)
        rebuild(store, store.built)
        assert rollups_of(store) == kept
        remove_before(store, until_s + 3600, most)
        rebuild(store, store.built)
        assert rollups_of(store) == kept


@given(traffic(), st.integers(0, 5), st.integers(1, 5))
def test_what_is_kept_is_whole_and_blocks_go_with_their_last_record(
    found: list[FlowRecord], hours: int, most: int
) -> None:
    until_s = (T0 // NS // 3600 + hours) * 3600
    with stored(found) as store:
        remove_before(store, until_s, most)
        expected = [one for one in found if one.start_ns >= until_s * NS or one.end_ns > until_s * NS]
        assert sorted(record for _, record in records(store, ALL, Order())) == sorted(expected)
        empty = """SELECT count(*) FROM record_details AS d WHERE NOT EXISTS (SELECT 1 FROM flow_records
                   WHERE record_id BETWEEN first_record AND first_record + records - 1)"""
        assert store.conn.execute(empty).fetchone() == (0,)


def test_flows_go_after_their_days_and_hours_after_theirs(store: Store) -> None:
    add(store, [day(0, 1), day(69, 2), day(95, 3), day(100, 4)])
    totals = queries.channels(store, ALL)
    assert prune(store, RetentionSettings(flows_days=30, hours_days=50)) == Removed(2, 1)
    assert ids(store) == [3, 4]
    assert [row.figures.connections for row in queries.periods(store, ALL._replace(since_ns=0))] == [1, 1, 1]
    assert queries.channels(store, ALL) == totals
    assert noted(store.conn, FLOWS_REMOVED) == (T0 // NS + 70 * DAY_S) // 3600 * 3600
    assert noted(store.conn, PERIODS_REMOVED) == (T0 // NS + 50 * DAY_S) // 3600 * 3600


def test_days_count_back_from_the_newest_record_and_never_from_the_future(store: Store) -> None:
    add(store, [day(0, 1), day(20, 2)])
    assert prune(store, RetentionSettings()) == Removed()
    add(store, [day(60, 3)])
    assert prune(store, RetentionSettings(), T0 + 25 * DAY_S * NS) == Removed()
    assert prune(store, RetentionSettings()) == Removed(2, 0)


def test_nothing_is_removed_of_an_empty_store_or_when_all_is_kept_for_ever(store: Store) -> None:
    assert prune(store, RetentionSettings(flows_days=1, hours_days=1, max_bytes=1)) == Removed()
    add(store, [day(0, 1), day(300, 2)])
    assert prune(store, FOR_EVER) == Removed()


def test_no_step_removes_more_than_it_may(store: Store) -> None:
    add(store, [flow(number) for number in range(7)] + [day(300, 9)], 8)
    pruner = Pruner(store, RetentionSettings())
    assert [pruner.step(NOW, 3) for _ in range(4)] == [Removed(3), Removed(3), Removed(1), Removed()]


def test_numbers_of_records_are_not_used_again_while_their_block_is_there(store: Store) -> None:
    add(store, [day(300, 1, vlan=7), flow(2, vlan=8), flow(3, vlan=9)], 3)
    prune(store, RetentionSettings())
    add(store, [day(301, 4, vlan=10)])
    assert store.conn.execute("SELECT record_id FROM flow_records").fetchall() == [(1,), (4,)]
    assert [record.vlan for _, record in records(store, ALL, Order())] == [10, 7]


def test_an_open_flow_is_forgotten_with_its_last_record(store: Store) -> None:
    add(store, [*parts(1, [60, 60], closed=False), *parts(2, [60, 60], closed=False, start_s=60 * DAY_S), day(90, 3)])
    assert open_flows(store, ALL) == 2
    prune(store, RetentionSettings(), most=1)
    assert (open_flows(store, ALL), ids(store)) == (1, [2, 3])


def test_a_period_of_the_rollups_goes_at_once_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, [flow(1), day(300, 2)])
    monkeypatch.setattr("correlator.store.retention.PERIOD_TABLES", (*PERIOD_TABLES, "no_such_table"))
    pruner = Pruner(store, RetentionSettings(flows_days=1, hours_days=1))
    pruner.step(NOW)
    before = rollups_of(store)
    with pytest.raises(Exception, match="no_such_table"):
        pruner.step(NOW)
    assert rollups_of(store) == before


def test_rebuilt_totals_are_those_of_the_periods_that_are_kept(store: Store) -> None:
    add(store, [flow(1), day(300, 2), day(300, 3, server_port=80)])
    prune(store, RetentionSettings(flows_days=10, hours_days=20))
    assert [row.figures.connections for row in sorted(queries.channels(store, ALL))] == [2, 1]
    rebuild(store, store.built)
    rows = sorted(queries.channels(store, ALL))
    assert [row.figures.connections for row in rows] == [1, 1]
    assert rows == sorted(queries.channels(store, ALL._replace(since_ns=0)))
    assert store.conn.execute("SELECT services FROM client_totals").fetchall() == [(2,)]


def test_other_settings_are_refused_where_flows_are_gone(store: Store) -> None:
    add(store, [flow(1), day(300, 2)])
    prune(store, RetentionSettings())
    before = rollups_of(store)
    with pytest.raises(Exception, match=r"flows before 2024-08-10T22:00:00Z were removed"):
        rebuild(store, store.built._replace(period_s=900))
    assert rollups_of(store) == before


def test_above_max_bytes_the_oldest_flows_go_first_but_not_the_newest_period(store: Store) -> None:
    hosts = [f"{number:05}" * 40 for number in range(600)]
    for hour in range(6):
        many = [
            flow(hour * 1000 + place, start_s=hour * 3600 + place, host=host, length_s=1)
            for place, host in enumerate(hosts)
        ]
        add(store, many, 600)
    store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pruner = Pruner(store, FOR_EVER)
    bound = pruner.bytes_in_use() * 3 // 4
    rollups = rollups_of(store)
    prune(store, RetentionSettings(flows_days=0, hours_days=0, max_bytes=bound), most=200)
    left = [found // 1000 for found in ids(store)]
    assert 3600 > left.count(5) > 0
    assert left.count(0) == 0
    assert rollups_of(store) == rollups
    prune(store, RetentionSettings(flows_days=0, hours_days=0, max_bytes=1))
    assert {found // 1000 for found in ids(store)} <= {4, 5}
    assert ids(store)


def test_a_file_from_a_time_whose_flows_are_gone_is_not_counted_again(cli: Cli, tmp_path: Path) -> None:
    old, new = tmp_path / "old.ndjson", tmp_path / "new.ndjson"
    old.write_bytes(msgspec.json.encode(flow_row(flow(1), "tap")) + b"\n")
    new.write_bytes(msgspec.json.encode(flow_row(day(90, 2), "tap")) + b"\n")
    cli.imported(old, new)
    assert cli("db", "prune").err == "1 flow records and 0 periods removed\n"
    summary = cli.json("summary")
    again = cli("import", old, new)
    assert again.code == 1
    assert "1 records are from a time whose flows were removed" in again.err
    assert "0 records stored, 1 duplicates, 1 bad" in again.err
    assert cli.json("summary") == summary


def test_the_command_says_what_goes_and_takes_nothing_on_a_dry_run(cli: Cli, db: Path, tmp_path: Path) -> None:
    path = tmp_path / "flows.ndjson"
    path.write_bytes(b"\n".join(msgspec.json.encode(flow_row(day(n * 50, n), "tap")) for n in range(1, 4)))
    cli.imported(path)
    assert cli("db", "prune", "--dry-run").err == "2 flow records and 0 periods are to go\n"
    assert cli("db", "prune", "--flows-days", "20", "--hours-days", "60", "--dry-run").err == (
        "2 flow records and 1 periods are to go\n"
    )
    with reading(db) as store:
        assert ids(store) == [1, 2, 3]
    assert cli("db", "prune", "--flows-days", "60", "--vacuum").err.startswith("1 flow records and 0 periods removed\n")
    with reading(db) as store:
        assert ids(store) == [2, 3]


@pytest.mark.parametrize(
    ("arguments", "code"), [(("--flows-days", "0"), 2), (("--flows-days", "60", "--hours-days", "50"), 2)]
)
def test_flows_cannot_outlast_their_hours(castro: Cli, arguments: tuple[str, ...], code: int) -> None:
    done = castro("db", "prune", *arguments)
    assert (done.code, "flows cannot be kept for longer" in done.err) == (code, True)


def test_what_a_reader_sees_is_of_one_moment(store: Store, db: Path) -> None:
    add(store, [flow(number, start_s=number * 100) for number in range(20)])
    with reading(db) as other:
        before = rollups_of(other), ids(other)
        add(store, [day(300, 99)])
        prune(store, RetentionSettings(flows_days=1, hours_days=1))
        assert (rollups_of(other), ids(other)) == before
    assert ids(store) == [99]
