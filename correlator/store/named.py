"""Channels by name, rolled up: a flow's name for all of its parts, and what new records add to the hosts' roll-ups.

A flow is to the host that any of its parts knew.  A part that knows none gets that one's number when it is stored;
when the name comes later, the parts before it get it then, and are added to the roll-ups of hosts like new ones.
A part that knows another name than the rest of its flow keeps that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from correlator.store.database import Built
from correlator.store.rollup import CREATE_ADDED_HOSTS, HOSTS, MAX_RECORDS, MAX_SUM, Kind, group, roll_up
from correlator.store.sessions import merge_sessions

_PREPARE: Final = (
    CREATE_ADDED_HOSTS,
    "CREATE TEMP TABLE IF NOT EXISTS late (place INTEGER PRIMARY KEY, record_id INTEGER)",
)
_LATE: Final = HOSTS._replace(
    records="t.record_id IN (SELECT l.record_id FROM temp.late AS l WHERE l.place BETWEEN :first AND :last)"
)
# All parts of a flow that are stored have a host, or none has: any one tells.
_PARTS: Final = """
SELECT t.sensor_id, t.flow_id, t.record_id, t.host_id, (
    SELECT coalesce(h.host_id, 0) FROM flow_records AS h INDEXED BY flow_records_parts
    WHERE h.sensor_id = t.sensor_id AND h.flow_id = t.flow_id AND (h.part > 0 OR h.end_reason IS NULL)
    AND h.record_id < :first LIMIT 1)
FROM flow_records AS t WHERE t.record_id BETWEEN :first AND :last AND (t.part > 0 OR t.end_reason IS NULL)
ORDER BY t.sensor_id, t.flow_id, t.part
"""
_BEFORE: Final = """
SELECT record_id, end_ns - start_ns FROM flow_records INDEXED BY flow_records_parts
WHERE sensor_id = ? AND flow_id = ? AND (part > 0 OR end_reason IS NULL) AND record_id < ?
"""
_NAME: Final = "UPDATE flow_records SET host_id = ? WHERE record_id = ?"
# Which services hosts were reached on; nearly every channel by name has one.
_REACHED: Final = """
INSERT OR IGNORE INTO host_services (host_id, client_id, service_id)
SELECT host_id, client_id, service_id FROM temp.added_hosts
WHERE service_id IS NOT NULL AND service_id IS NOT known_service_id
"""
_REACHED_HERE: Final = """
INSERT OR IGNORE INTO host_period_services (period_start_s, client_id, host_id, service_id)
SELECT period_start_s, client_id, host_id, service_id FROM temp.added_hosts WHERE service_id <> known_service_id
"""
_SEVERAL: Final = "SELECT EXISTS (SELECT 1 FROM temp.added_hosts WHERE service_id < last_service_id)"
_OF_SEVERAL: Final = """
{records} AND (t.period_start_s, t.client_id, t.host_id) IN (
    SELECT period_start_s, client_id, host_id FROM temp.added_hosts WHERE service_id < last_service_id)
"""
_REACHED_ALSO: Final = f"""
INSERT OR IGNORE INTO host_services (host_id, client_id, service_id)
SELECT t.host_id, t.client_id, t.service_id FROM flow_records AS t WHERE {_OF_SEVERAL}
"""  # noqa: S608 - constant names
_REACHED_ALSO_HERE: Final = f"""
INSERT OR IGNORE INTO host_period_services (period_start_s, client_id, host_id, service_id)
SELECT t.period_start_s, t.client_id, t.host_id, t.service_id FROM flow_records AS t
JOIN host_channel_periods AS k
    ON k.period_start_s = t.period_start_s AND k.client_id = t.client_id AND k.host_id = t.host_id
WHERE k.service_id <> t.service_id AND {_OF_SEVERAL}
"""  # noqa: S608 - as above


def prepare(conn: sqlite3.Connection) -> None:
    """Make the temporary tables that the other functions use."""
    for statement in _PREPARE:
        conn.execute(statement)


def any_host(conn: sqlite3.Connection) -> bool:
    """Tell whether the store knows of a host."""
    return conn.execute("SELECT 1 FROM hosts LIMIT 1").fetchone() is not None


def roll_up_named(conn: sqlite3.Connection, first: int, last: int, built: Built) -> None:
    """Add the records with these numbers that have a host to the roll-ups of hosts."""
    _roll_up(conn, HOSTS, first, last, built)


def name_parts(conn: sqlite3.Connection, first: int, last: int, built: Built) -> None:
    """Give parts of flows the host of their flow, where the records with these numbers know it or have none.

    What was stored before and gets its host now is rolled up.
    """
    changed: list[tuple[int, int]] = []
    late: list[tuple[int, int]] = []  # record, duration
    parts = conn.execute(_PARTS, {"first": first, "last": last}).fetchall()
    for (sensor_id, flow_id), rows in groupby(parts, key=itemgetter(0, 1)):
        of_flow = list(rows)
        known = of_flow[0][4]
        host = known or next((row[3] for row in of_flow if row[3] is not None), None)
        if host is None:
            continue
        changed += [(host, row[2]) for row in of_flow if row[3] is None]
        if known == 0:
            before = conn.execute(_BEFORE, (sensor_id, flow_id, first)).fetchall()
            changed += [(host, record) for record, _ in before]
            late += before
    conn.executemany(_NAME, changed)
    if late:
        conn.execute("DELETE FROM temp.late")
        conn.executemany("INSERT INTO temp.late (record_id) VALUES (?)", [(record,) for record, _ in late])
        for some in _addable([duration for _, duration in late]):
            _roll_up(conn, _LATE, some.start, some.stop - 1, built)


def _addable(durations: list[int]) -> Iterator[range]:
    """Yield the places, from 1 on, of what can be added up at once."""
    start, waiting_ns = 1, 0
    for place, duration_ns in enumerate(durations, 1):
        if place - start >= MAX_RECORDS or (waiting_ns + duration_ns > MAX_SUM and place > start):
            yield range(start, place)
            start, waiting_ns = place, 0
        waiting_ns += duration_ns
    yield range(start, len(durations) + 1)


def _roll_up(conn: sqlite3.Connection, kind: Kind, first: int, last: int, built: Built) -> None:
    group(conn, first, last, kind)
    merge_sessions(conn, first, last, built, kind)
    roll_up(conn, kind)
    conn.execute(_REACHED)
    conn.execute(_REACHED_HERE)
    if conn.execute(_SEVERAL).fetchone()[0]:
        for statement in (_REACHED_ALSO, _REACHED_ALSO_HERE):
            conn.execute(statement.format(records=kind.records), {"first": first, "last": last})
