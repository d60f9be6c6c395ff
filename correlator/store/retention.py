"""Removes what is older than the settings say, or what the file has no room for; a little in each transaction.

Flows go by their own start, and those that last beyond the time up to which flows are removed stay until that time is
past them: the periods after it can then be rolled up again from what is kept (``rebuild``).  Age counts back from the
newest record, or from now where that is earlier: a store of old captures is kept as it is.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Final, NamedTuple

from common.timespan import NS_PER_S
from correlator.config import DAY_S, RetentionSettings
from correlator.store.database import LOG_BYTES, Built, Store, built, explained, immediate, log_bytes
from correlator.store.meta import FLOWS_REMOVED, PERIODS_REMOVED, note, noted
from correlator.store.rollup import HOST_PERIOD_TABLES, PERIOD_TABLES

AT_ONCE: Final = 2000
"""Records that one transaction removes: some 20 ms."""
_OLD: Final = "FROM flow_records INDEXED BY flow_records_start WHERE start_ns < :until AND end_ns <= :until"
_OLD_EXCHANGES: Final = """
FROM http_exchanges INDEXED BY http_exchanges_start WHERE start_ns < :until AND end_ns <= :until"""
_SOME_EXCHANGES: Final = f"SELECT exchange_id {_OLD_EXCHANGES} ORDER BY start_ns LIMIT :most"
_REMOVE_EXCHANGES: Final = f"DELETE FROM http_exchanges WHERE exchange_id IN ({_SOME_EXCHANGES})"  # noqa: S608 - constant
_SOME: Final = f"SELECT record_id, sensor_id, flow_id, end_reason {_OLD} ORDER BY start_ns LIMIT :most"
_COUNT: Final = f"SELECT count(*) {_OLD}"
_REMOVE: Final = "DELETE FROM flow_records WHERE record_id IN (SELECT value FROM json_each(?))"
# A block goes with the last of its records.
_REMOVE_BLOCKS: Final = """
DELETE FROM record_details WHERE first_record IN (
    SELECT DISTINCT (SELECT max(d.first_record) FROM record_details AS d WHERE d.first_record <= i.value)
    FROM json_each(?) AS i)
AND NOT EXISTS (
    SELECT 1 FROM flow_records AS r WHERE r.record_id BETWEEN first_record AND first_record + records - 1)
"""
# Of an open flow, nothing is left to be ended.
_FORGET_OPEN: Final = """
DELETE FROM open_flows WHERE (sensor_id, flow_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
AND NOT EXISTS (
    SELECT 1 FROM flow_records AS r WHERE r.sensor_id = open_flows.sensor_id AND r.flow_id = open_flows.flow_id
    AND (r.part > 0 OR r.end_reason IS NULL))
"""
_NEWEST: Final = "SELECT coalesce((SELECT max(start_ns) FROM flow_records), (SELECT max(last_ns) FROM periods))"
_OLDEST: Final = "SELECT min(start_ns) FROM flow_records WHERE start_ns >= ?"


class Bounds(NamedTuple):
    """Up to when flows, and the rows of periods, are to go; bounds of periods, 0 for none."""

    flows_s: int
    periods_s: int


class Removed(NamedTuple):
    """What was removed: flow records, periods from the roll-ups, and HTTP exchanges."""

    records: int = 0
    periods: int = 0
    exchanges: int = 0


class Pruner:
    """Removes from a store that is open for writing; the clock is the caller's."""

    def __init__(self, store: Store, settings: RetentionSettings) -> None:
        self._conn = store.conn
        self._path = store.path
        self._settings = settings

    def step(self, now_ns: int, most: int = AT_ONCE) -> Removed:
        """Remove at most so many records, or one period, in one transaction; tell what. UserError in one line."""
        try:
            bounds = self._bounds(now_ns)
            removed = self._remove_some(bounds.flows_s, most)
            if removed == Removed() and self.is_over():
                removed = self._remove_some(self._next_s(bounds.flows_s, now_ns), most)
            if removed == Removed():
                removed = Removed(periods=self._remove_period(bounds.periods_s))
        except sqlite3.DatabaseError as error:
            raise explained(self._path, error) from error
        return removed

    def due(self, now_ns: int) -> Removed:
        """Return what is to go by its age now; nothing is removed."""
        bounds = self._bounds(now_ns)
        (records,) = self._conn.execute(_COUNT, {"until": bounds.flows_s * NS_PER_S}).fetchone()
        query = "SELECT count(DISTINCT period_start_s) FROM periods WHERE period_start_s < ?"
        (periods,) = self._conn.execute(query, (bounds.periods_s,)).fetchone()
        query = f"SELECT count(*) {_OLD_EXCHANGES}"
        (exchanges,) = self._conn.execute(query, {"until": bounds.flows_s * NS_PER_S}).fetchone()
        return Removed(records, periods, exchanges)

    def bytes_in_use(self) -> int:
        """Return the bytes of pages in use, and of the log up to its usual size: removing cannot shrink it further."""
        numbers = [self._conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")]
        (page_bytes,) = self._conn.execute("PRAGMA page_size").fetchone()
        return int((numbers[0] - numbers[1]) * page_bytes) + min(log_bytes(self._path), LOG_BYTES)

    def is_over(self) -> bool:
        """Whether the store has grown over max_bytes."""
        return 0 < self._settings.max_bytes < self.bytes_in_use()

    def _built(self) -> Built:
        return built(self._conn)

    def _bounds(self, now_ns: int) -> Bounds:
        newest_ns = self._newest_ns(now_ns)
        period_s = self._built().period_s

        def bound(days: int) -> int:
            return max(0, newest_ns // NS_PER_S - days * DAY_S) // period_s * period_s if days else 0

        flows_s = max(bound(self._settings.flows_days), noted(self._conn, FLOWS_REMOVED))
        return Bounds(flows_s, bound(self._settings.hours_days))

    def _newest_ns(self, now_ns: int) -> int:
        (newest_ns,) = self._conn.execute(_NEWEST).fetchone()
        return min(newest_ns or 0, now_ns)

    def _next_s(self, flows_s: int, now_ns: int) -> int:
        """Return the end of the oldest period that has flows, but not of the newest one: what is being filled stays."""
        period_s = self._built().period_s
        (oldest_ns,) = self._conn.execute(_OLDEST, (flows_s * NS_PER_S,)).fetchone()
        if oldest_ns is None:
            return flows_s
        end_s = (oldest_ns // NS_PER_S // period_s + 1) * period_s
        return int(end_s) if end_s * NS_PER_S <= self._newest_ns(now_ns) else flows_s

    def _remove_some(self, until_s: int, most: int) -> Removed:
        """Remove flow records, and HTTP exchanges when no such record is left."""
        records = self._remove_records(until_s, most)
        return Removed(records, exchanges=0 if records else self._remove_exchanges(until_s, most))

    def _remove_exchanges(self, until_s: int, most: int) -> int:
        bound = {"until": until_s * NS_PER_S, "most": most}
        if not until_s or self._conn.execute(_SOME_EXCHANGES, bound).fetchone() is None:
            return 0
        with immediate(self._conn):
            if noted(self._conn, FLOWS_REMOVED) < until_s:
                note(self._conn, FLOWS_REMOVED, until_s)
            return self._conn.execute(_REMOVE_EXCHANGES, bound).rowcount

    def _remove_records(self, until_s: int, most: int) -> int:
        if not until_s:
            return 0
        found = self._conn.execute(_SOME, {"until": until_s * NS_PER_S, "most": most}).fetchall()
        if not found:
            return 0
        ids = json.dumps([record_id for record_id, *_ in found])
        begun = json.dumps([(sensor_id, flow_id) for _, sensor_id, flow_id, end_reason in found if end_reason is None])
        with immediate(self._conn):
            if noted(self._conn, FLOWS_REMOVED) < until_s:
                note(self._conn, FLOWS_REMOVED, until_s)
            count = self._conn.execute(_REMOVE, (ids,)).rowcount
            self._conn.execute(_REMOVE_BLOCKS, (ids,))
            self._conn.execute(_FORGET_OPEN, (begun,))
        return count

    def _remove_period(self, until_s: int) -> int:
        """Remove the oldest period from every roll-up at once, so that no reader sees them disagree."""
        query = "SELECT min(period_start_s) FROM periods WHERE period_start_s < ?"
        (start_s,) = self._conn.execute(query, (until_s,)).fetchone()
        if start_s is None:
            return 0
        with immediate(self._conn):
            note(self._conn, PERIODS_REMOVED, max(noted(self._conn, PERIODS_REMOVED), until_s))
            for table in (*PERIOD_TABLES, *HOST_PERIOD_TABLES):
                self._conn.execute(f"DELETE FROM {table} WHERE period_start_s = ?", (start_s,))  # noqa: S608 - constant names
        return 1


def vacuumed(store: Store) -> tuple[int, int]:
    """Write the whole file again without its free pages; return its bytes before and after."""
    before = store.path.stat().st_size
    store.conn.execute("VACUUM")
    store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, store.path.stat().st_size
