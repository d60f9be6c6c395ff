"""The roll-ups made again are those that ingest kept, or those of another store that was made so."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import NS, flow
from corr_link import environment
from corr_store import add, rollups_of, stored
from corr_strategies import traffic
from hypothesis import given
from hypothesis import strategies as st

from common.records import FlowRecord
from correlator.rows import Selection
from correlator.store import queries, rebuild
from correlator.store.database import Built, Store, built, changing, reading
from correlator.store.rollup import TABLES, total_up
from correlator.store.writer import Writer

SIZES = st.integers(1, 7)


@given(traffic(), SIZES, SIZES)
def test_rebuilt_rollups_are_those_that_ingest_kept(records: list[FlowRecord], size: int, at_once: int) -> None:
    with stored(records, size) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuild, "MAX_RECORDS", at_once)
        before = rollups_of(store)
        assert rebuild.rebuild(store, store.built) == len(records)
        assert rollups_of(store) == before


@given(traffic(), SIZES, st.sampled_from([Built(900, 300), Built(86400, 0), Built(3600, 7), Built(60, 1200)]))
def test_other_settings_give_what_a_store_made_with_them_has(
    records: list[FlowRecord], size: int, wanted: Built
) -> None:
    with stored(records, size) as store, stored(records, built=wanted) as other:
        rebuild.rebuild(store, wanted)
        assert rollups_of(store) == rollups_of(other)
        assert built(store.conn) == wanted
        starts = "SELECT start_ns, period_start_s FROM flow_records ORDER BY flow_id, part"
        assert list(store.conn.execute(starts)) == list(other.conn.execute(starts))


@given(traffic(), SIZES)
def test_totals_are_the_sums_of_periods(records: list[FlowRecord], size: int) -> None:
    with stored(records, size) as store:
        before = rollups_of(store)
        total_up(store.conn)
        assert rollups_of(store) == before


def test_sums_that_sqlite_cannot_hold_stop_at_the_bound_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "MAX_RECORDS", 1)
    add(store, [flow(number, payload_bytes_out=1 << 60, server_port=number % 2) for number in range(9)], 1)
    before = rollups_of(store)
    rebuild.rebuild(store, store.built)
    assert rollups_of(store) == before


def test_records_whose_durations_cannot_be_added_up_are_taken_apart(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "MAX_SUM", 25 * NS)
    monkeypatch.setattr(rebuild, "MAX_RECORDS", 4)
    add(store, [flow(number, length_s=10) for number in range(5)])
    assert [count for *_, count in rebuild._chunks(store.conn)] == [2, 2, 1]


def test_a_writer_at_work_goes_on_with_the_new_settings(store: Store, db: Path) -> None:
    writer = Writer(store)
    with changing(db) as other:
        rebuild.rebuild(other, Built(900, 60))
    with writer.transaction():
        assert writer.built == Built(900, 60)


def test_the_old_content_is_there_after_a_kill_in_the_middle(store: Store, db: Path) -> None:
    add(store, [flow(number, start_s=number * 700) for number in range(300)], 100)
    before = rollups_of(store)
    script = f"""
import os, signal
from pathlib import Path
from correlator.store import rebuild
from correlator.store.database import Built, changing
rolled, rebuild.MAX_RECORDS = [], 100
roll_up = rebuild.roll_up
def killed(conn):
    roll_up(conn)
    conn.execute("PRAGMA cache_spill = 1")
    conn.execute("PRAGMA cache_size = 1")
    rolled.append(1)
    if len(rolled) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
rebuild.roll_up = killed
with changing(Path({str(db)!r})) as store:
    rebuild.rebuild(store, Built(900, 60))
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment(), timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    with reading(db) as after:
        assert after.built == Built(3600, 300)
        assert rollups_of(after) == before
        assert after.conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_views_show_the_old_content_until_it_is_done(store: Store, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, [flow(number, start_s=number * 700) for number in range(9)])
    before = rollups_of(store)
    seen = []

    def look(conn: sqlite3.Connection) -> None:
        with reading(db) as other:
            seen.append(rollups_of(other) == before)
        conn.execute("DELETE FROM periods")

    monkeypatch.setattr(rebuild, "roll_up", look)
    rebuild.rebuild(store, store.built)
    assert seen == [True]


def test_the_command_says_what_it_did(castro: Cli, db: Path) -> None:
    with sqlite3.connect(db) as conn:
        for table in TABLES:
            conn.execute(f"DELETE FROM {table}")
    done = castro("db", "rebuild", "--period-s", "900")
    assert (done.code, done.out) == (0, "")
    assert done.err == "21 records rolled up again: periods of 900 s, a channel gap of 300 s\n"
    with reading(db) as store:
        assert len(queries.channels(store, Selection())) == len(queries.channels(store, Selection(), use_rollup=False))


@pytest.mark.parametrize(("period", "code"), [("7000", 2), ("59", 2), ("900", 0)])
def test_periods_that_do_not_fill_a_day_are_refused(castro: Cli, period: str, code: int) -> None:
    assert castro("db", "rebuild", "--period-s", period).code == code
