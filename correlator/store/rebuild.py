"""Makes the roll-ups again from the records, with the same settings or others; all of it in one transaction.

Where retention has removed flows, the rows of those periods are all that is left of them: they stay, and only the
periods from then on are made again; the roll-ups by name stay as they are then.  A record that lasts beyond the time
up to which flows were removed is kept for that reason (``retention``): it tells how long its channel stood up in the
periods that are made again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from common.errors import UserError
from common.timespan import NS_PER_S, iso_time
from correlator.store.database import Built, Store, immediate
from correlator.store.meta import FLOWS_REMOVED, PERIODS_REMOVED, TOTALS_FROM, note, noted
from correlator.store.named import prepare, roll_up_named
from correlator.store.rollup import (
    CREATE_ADDED,
    HOST_PERIOD_TABLES,
    HOST_TABLES,
    MAX_RECORDS,
    MAX_SUM,
    PERIOD_TABLES,
    SUMS_OF_RECORDS,
    TABLES,
    group,
    roll_up,
    total_up,
)
from correlator.store.sessions import merge_sessions

_NEXT: Final = """
SELECT count(*), max(record_id), total(lasted) FROM (
    SELECT record_id, end_ns - start_ns AS lasted FROM flow_records WHERE record_id >= ? ORDER BY record_id LIMIT ?)
"""
_PERIODS_AGAIN: Final = "UPDATE flow_records SET period_start_s = start_ns / :ns * :s"
# What records of periods that stay add to these is there already; what they add to later ones is not.
_KNOWN_ALREADY: Final = f"UPDATE temp.added SET {SUMS_OF_RECORDS} WHERE period_start_s < ?"  # noqa: S608 - constant names


def rebuild(store: Store, wanted: Built) -> int:
    """Make every roll-up again as ``wanted`` says; return the number of records that were read.

    Nothing is changed unless all of it is. Others read what was there before, and wait with writing.
    """
    conn = store.conn
    conn.execute("PRAGMA temp_store = MEMORY")
    conn.execute(CREATE_ADDED)
    prepare(conn)
    with immediate(conn):
        from_s = noted(conn, FLOWS_REMOVED)
        if wanted != store.built:
            _refuse_lost_flows(store, from_s)
            conn.execute(_PERIODS_AGAIN, {"ns": wanted.period_ns, "s": wanted.period_s})
            for key, value in wanted._asdict().items():
                note(conn, key, value)
        _empty(conn, from_s)
        records = 0
        for first, last, count in _chunks(conn):
            group(conn, first, last)
            merge_sessions(conn, first, last, wanted)
            if from_s:
                conn.execute(_KNOWN_ALREADY, (from_s,))
            roll_up(conn)
            if not from_s:
                roll_up_named(conn, first, last, wanted)
            records += count
        conn.execute("DELETE FROM temp.added")
        removed_s = min(noted(conn, PERIODS_REMOVED), from_s)
        if from_s:
            _only_what_is_kept(conn, removed_s)
        note(conn, PERIODS_REMOVED, removed_s)
        note(conn, TOTALS_FROM, removed_s)
    return records


def _refuse_lost_flows(store: Store, removed_s: int) -> None:
    if removed_s:
        raise UserError(
            f"flows before {iso_time(removed_s * NS_PER_S)} were removed from {store.path}, and what is left of them "
            "cannot be computed with other settings: leave the options out, or import what is left into a new --db"
        )


def _empty(conn: sqlite3.Connection, from_s: int) -> None:
    if not from_s:
        for table in (*TABLES, *HOST_TABLES):
            conn.execute(f"DELETE FROM {table}")  # noqa: S608 - constant names
        return
    for table in PERIOD_TABLES:
        conn.execute(f"DELETE FROM {table} WHERE period_start_s >= ?", (from_s,))  # noqa: S608 - constant names


def _chunks(conn: sqlite3.Connection) -> Iterator[tuple[int, int, int]]:
    """Yield (first id, last id, number) of records whose figures can be added up, until all have been."""
    first = 0
    while True:
        limit = MAX_RECORDS
        count, last, lasted_ns = conn.execute(_NEXT, (first, limit)).fetchone()
        while lasted_ns > MAX_SUM and limit > 1:  # forged
            limit //= 2
            count, last, lasted_ns = conn.execute(_NEXT, (first, limit)).fetchone()
        if not count:
            return
        yield first, last, count
        first = last + 1


def _only_what_is_kept(conn: sqlite3.Connection, removed_s: int) -> None:
    for table in (*PERIOD_TABLES, *HOST_PERIOD_TABLES):
        conn.execute(f"DELETE FROM {table} WHERE period_start_s < ?", (removed_s,))  # noqa: S608 - constant names
    total_up(conn)
