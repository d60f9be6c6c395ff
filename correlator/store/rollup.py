"""What new records add to the roll-ups, computed by SQLite from their rows.

The records are grouped into the temporary table ``added``, a row per period and channel; every roll-up takes its sums
from that.  The same statements build the roll-ups again from all records.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

# Sums stop here, so that two of them still fit SQLite's 63 bits; only forged records get this far.
MAX_SUM: Final = 1 << 61

_SUMS: Final = (
    "connections", "packets_out", "packets_in", "wire_bytes_out", "wire_bytes_in", "payload_bytes_out",
    "payload_bytes_in", "tcp_uptime_ns", "channel_uptime_ns",
)  # fmt: skip
_EXTREMES: Final = {"first_ns": "min", "last_ns": "max", "last_start_ns": "max"}
_FIGURES: Final = (*_SUMS, *_EXTREMES)

# known_* is the channel's row in channel_periods before these records; new_ever tells that there is none of it at all.
CREATE_ADDED: Final = f"""
CREATE TEMP TABLE IF NOT EXISTS added (
    place INTEGER PRIMARY KEY, period_start_s INTEGER, client_id INTEGER, service_id INTEGER, protocol INTEGER,
    records INTEGER, {" INTEGER, ".join(_FIGURES)} INTEGER, spans TEXT, new_ever INTEGER, new_here INTEGER,
    known_first_ns INTEGER, known_last_ns INTEGER, known_uptime_ns INTEGER, known_spans TEXT)
"""
# A channel with one record in a period stood up from its start to its end; sessions corrects what is not so simple.
_GROUP: Final = f"""
INSERT INTO temp.added (period_start_s, client_id, service_id, protocol, records, {", ".join(_FIGURES)}, new_ever,
    new_here, known_first_ns, known_last_ns, known_uptime_ns, known_spans)
SELECT g.*, e.client_id IS NULL, k.first_ns IS NULL, k.first_ns, k.last_ns, k.channel_uptime_ns, k.spans
FROM (
    SELECT t.period_start_s AS period_start_s, t.client_id AS client_id, t.service_id AS service_id, s.protocol,
           count(*), sum(t.part = 0), sum(t.packets_out), sum(t.packets_in),
           sum(t.wire_bytes_out), sum(t.wire_bytes_in), sum(t.payload_bytes_out), sum(t.payload_bytes_in),
           sum(t.end_ns - t.start_ns),
           max(t.end_ns) - min(t.start_ns), min(t.start_ns), max(t.end_ns), max(t.flow_start_ns)
    FROM flow_records AS t CROSS JOIN services AS s ON s.service_id = t.service_id
    WHERE t.record_id BETWEEN ? AND ?
    GROUP BY t.period_start_s, t.client_id, t.service_id
) AS g
LEFT JOIN channel_periods AS k
    ON k.period_start_s = g.period_start_s AND k.client_id = g.client_id AND k.service_id = g.service_id
LEFT JOIN channel_totals AS e ON e.client_id = g.client_id AND e.service_id = g.service_id
"""  # noqa: S608 - constant names


class _Level(NamedTuple):
    """A roll-up: its table, its key, and what it counts: (column, SQL for how many of it are new in a group)."""

    table: str
    key: tuple[str, ...]
    counts: tuple[tuple[str, str], ...] = ()


def _new(thing: str, table: str, *key: str) -> str:
    """Return SQL for how many things of a group have no record in their roll-up yet."""
    same = " AND ".join(f"k.{column} = a.{column}" for column in key)
    known = f"SELECT 1 FROM {table} AS k WHERE {same} AND k.first_ns IS NOT NULL"  # noqa: S608 - constant names
    return f"count(DISTINCT CASE WHEN a.new_here AND NOT EXISTS ({known}) THEN a.{thing} END)"


# In this order: what is counted is asked of the tables that come later.
_LEVELS: Final = (
    _Level(
        "periods",
        ("period_start_s", "protocol"),
        (
            ("clients", _new("client_id", "client_periods", "period_start_s", "client_id", "protocol")),
            ("services", _new("service_id", "service_periods", "period_start_s", "service_id")),
            ("channels", "sum(a.new_here)"),
        ),
    ),
    _Level("client_periods", ("period_start_s", "client_id", "protocol"), (("services", "sum(a.new_here)"),)),
    _Level("service_periods", ("period_start_s", "service_id"), (("clients", "sum(a.new_here)"),)),
    _Level(
        "client_totals",
        ("client_id", "protocol"),
        (("services", "count(DISTINCT CASE WHEN a.new_ever THEN a.service_id END)"),),
    ),
    _Level(
        "service_totals",
        ("service_id",),
        (("clients", "count(DISTINCT CASE WHEN a.new_ever THEN a.client_id END)"),),
    ),
    _Level("channel_totals", ("client_id", "service_id")),
    _Level("channel_periods", ("period_start_s", "client_id", "service_id")),
)
TABLES: Final = tuple(level.table for level in _LEVELS)


def _statement(level: _Level) -> str:
    """Return the statement that adds the groups to a roll-up."""
    counts = [name for name, _ in level.counts]
    taken = [f"a.{name}" for name in level.key] + [text for _, text in level.counts]
    grouped = ""
    if level.table == "channel_periods":  # as ``added`` is already
        taken += [f"a.{name}" for name in _FIGURES]
    else:
        taken += [f"sum(a.{name})" for name in _SUMS] + [f"{least}(a.{name})" for name, least in _EXTREMES.items()]
        grouped = f"GROUP BY {', '.join(level.key)}"
    changed = [f"{name} = min({name} + excluded.{name}, {MAX_SUM})" for name in (*counts, *_SUMS)]
    changed += [
        f"{name} = {least}(coalesce({name}, excluded.{name}), coalesce(excluded.{name}, {name}))"
        for name, least in _EXTREMES.items()
    ]
    names = [*level.key, *counts, *_FIGURES]
    if level.table == "channel_periods":
        names, taken, changed = [*names, "spans"], [*taken, "a.spans"], [*changed, "spans = excluded.spans"]
    key = ", ".join(level.key)
    return f"""INSERT INTO {level.table} ({", ".join(names)}) SELECT {", ".join(taken)} FROM temp.added AS a
               WHERE true {grouped} ON CONFLICT ({key}) DO UPDATE SET {", ".join(changed)}"""  # noqa: S608 - as above


_STATEMENTS: Final = tuple(map(_statement, _LEVELS))


def group(conn: sqlite3.Connection, first: int, last: int) -> None:
    """Put the records with these ids into ``added``; their sums must be below 2^62."""
    conn.execute("DELETE FROM temp.added")
    conn.execute(_GROUP, (first, last))


def roll_up(conn: sqlite3.Connection) -> None:
    """Add what is in ``added`` to every roll-up."""
    for statement in _STATEMENTS:
        conn.execute(statement)
