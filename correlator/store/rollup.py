"""What new records add to the roll-ups, computed by SQLite from their rows.

The records are grouped into a temporary table, a row per period and channel; every roll-up takes its sums from that.
The same statements build the roll-ups again from all records.  There are channels by service and channels by name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

# Sums stop here, so that two of them still fit SQLite's 63 bits; only forged records get this far.
MAX_SUM: Final = 1 << 61
# What is rolled up at once: so many records of at most 2^46 bytes each are sums that SQLite can hold.
MAX_RECORDS: Final = 32_768

_SUMS: Final = (
    "connections", "packets_out", "packets_in", "wire_bytes_out", "wire_bytes_in", "payload_bytes_out",
    "payload_bytes_in", "tcp_uptime_ns", "channel_uptime_ns",
)  # fmt: skip
_EXTREMES: Final = {"first_ns": "min", "last_ns": "max", "last_start_ns": "max"}
_FIGURES: Final = (*_SUMS, *_EXTREMES)


class Level(NamedTuple):
    """A roll-up: its table, its key, and what it counts: (column, SQL for how many of it are new in a group)."""

    table: str
    key: tuple[str, ...]
    counts: tuple[tuple[str, str], ...] = ()


def _new(thing: str, table: str, *key: str) -> str:
    """Return SQL for how many things of a group have no record in their roll-up yet."""
    same = " AND ".join(f"k.{column} = a.{column}" for column in key)
    known = f"SELECT 1 FROM {table} AS k WHERE {same} AND k.first_ns IS NOT NULL"  # noqa: S608 - constant names
    return f"count(DISTINCT CASE WHEN a.new_here AND NOT EXISTS ({known}) THEN a.{thing} END)"


class Kind(NamedTuple):
    """A kind of channel: what it leads to, and the tables that its roll-ups are in."""

    number: str
    things: str
    """The table of what the numbers stand for."""
    added: str
    records: str
    """The test that records AS t are those from :first to :last."""
    levels: tuple[Level, ...]
    """In this order: what is counted is asked of the tables that come later.  The last two are those by channel."""
    by_name: bool = False

    @property
    def totals(self) -> str:
        """Its roll-up by channel."""
        return self.levels[-2].table

    @property
    def periods(self) -> str:
        """Its roll-up by period and channel."""
        return self.levels[-1].table


_NUMBERED: Final = "t.record_id BETWEEN :first AND :last"
_LEVELS: Final = (
    Level(
        "periods",
        ("period_start_s", "protocol"),
        (
            ("clients", _new("client_id", "client_periods", "period_start_s", "client_id", "protocol")),
            ("services", _new("service_id", "service_periods", "period_start_s", "service_id")),
            ("channels", "sum(a.new_here)"),
        ),
    ),
    Level("client_periods", ("period_start_s", "client_id", "protocol"), (("services", "sum(a.new_here)"),)),
    Level("service_periods", ("period_start_s", "service_id"), (("clients", "sum(a.new_here)"),)),
    Level(
        "client_totals",
        ("client_id", "protocol"),
        (("services", "count(DISTINCT CASE WHEN a.new_ever THEN a.service_id END)"),),
    ),
    Level(
        "service_totals",
        ("service_id",),
        (("clients", "count(DISTINCT CASE WHEN a.new_ever THEN a.client_id END)"),),
    ),
    Level("channel_totals", ("client_id", "service_id")),
    Level("channel_periods", ("period_start_s", "client_id", "service_id")),
)
_HOST_LEVELS: Final = (
    Level(
        "host_totals",
        ("host_id",),
        (("clients", "count(DISTINCT CASE WHEN a.new_ever THEN a.client_id END)"),),
    ),
    Level("host_channel_totals", ("client_id", "host_id")),
    Level("host_channel_periods", ("period_start_s", "client_id", "host_id")),
)
SERVICES: Final = Kind("service_id", "services", "added", _NUMBERED, _LEVELS)
HOSTS: Final = Kind(
    "host_id", "hosts", "added_hosts", f"{_NUMBERED} AND t.host_id IS NOT NULL", _HOST_LEVELS, by_name=True
)
TABLES: Final = tuple(level.table for level in _LEVELS)
HOST_TABLES: Final = (*(level.table for level in _HOST_LEVELS), "host_services", "host_period_services")
HOST_PERIOD_TABLES: Final = ("host_channel_periods", "host_period_services")
PERIOD_TABLES: Final = tuple(level.table for level in _LEVELS if "period_start_s" in level.key)
# For a group of records that are in the roll-ups already: all but how long the channel stood up.
SUMS_OF_RECORDS: Final = ", ".join(f"{name} = 0" for name in _SUMS if name != "channel_uptime_ns")


# What of the totals does not add up over periods.
_COUNT_AGAIN: Final = (
    """UPDATE client_totals SET services = (
           SELECT count(*) FROM channel_totals AS k JOIN services AS s ON s.service_id = k.service_id
           WHERE k.client_id = client_totals.client_id AND s.protocol = client_totals.protocol
           AND k.first_ns IS NOT NULL)""",
    """UPDATE service_totals SET clients = (
           SELECT count(*) FROM channel_totals AS k
           WHERE k.service_id = service_totals.service_id AND k.first_ns IS NOT NULL)""",
    """UPDATE host_totals SET clients = k.clients FROM (
           SELECT host_id, count(*) AS clients FROM host_channel_totals WHERE first_ns IS NOT NULL GROUP BY host_id
       ) AS k WHERE k.host_id = host_totals.host_id""",
    "DELETE FROM host_services",
    """INSERT OR IGNORE INTO host_services (host_id, client_id, service_id)
       SELECT host_id, client_id, service_id FROM host_channel_periods WHERE service_id IS NOT NULL
       UNION ALL SELECT host_id, client_id, service_id FROM host_period_services""",
)


def _changed(summed: Iterable[str]) -> list[str]:
    """Return how a row's values change when those of another row are added."""
    return [f"{name} = min({name} + excluded.{name}, {MAX_SUM})" for name in summed] + [
        f"{name} = {least}(coalesce({name}, excluded.{name}), coalesce(excluded.{name}, {name}))"
        for name, least in _EXTREMES.items()
    ]


def _create(kind: Kind) -> str:
    """Return the statement that makes the table of groups.

    known_* is the channel's row in its period before these records; new_ever tells that there is none of it at all.
    """
    return f"""
CREATE TEMP TABLE IF NOT EXISTS {kind.added} (
    place INTEGER PRIMARY KEY, period_start_s INTEGER, client_id INTEGER, {kind.number} INTEGER, protocol INTEGER,
    records INTEGER, {" INTEGER, ".join(_FIGURES)} INTEGER, spans TEXT, new_ever INTEGER, new_here INTEGER,
    known_first_ns INTEGER, known_last_ns INTEGER, known_uptime_ns INTEGER, known_spans TEXT
    {", service_id INTEGER, last_service_id INTEGER, known_service_id INTEGER" if kind.by_name else ""})"""


CREATE_ADDED: Final = _create(SERVICES)
CREATE_ADDED_HOSTS: Final = _create(HOSTS)


@cache
def _group(kind: Kind) -> str:
    """Return the statement that groups records.

    A channel with one record in a period stood up from its start to its end; sessions corrects what is not so simple.
    """
    number = kind.number
    names, of_records, known = "", "", ""
    if kind.by_name:
        names = ", service_id, last_service_id, known_service_id"
        of_records, known = ", min(t.service_id), max(t.service_id)", ", k.service_id"
    return f"""
INSERT INTO temp.{kind.added} (protocol, new_ever, new_here, known_first_ns, known_last_ns, known_uptime_ns,
    known_spans, period_start_s, client_id, {number}, records, {", ".join(_FIGURES)}{names})
SELECT (SELECT s.protocol FROM {kind.things} AS s WHERE s.{number} = g.{number}), e.client_id IS NULL,
       k.first_ns IS NULL, k.first_ns, k.last_ns, k.channel_uptime_ns, k.spans, g.*{known}
FROM (
    SELECT t.period_start_s AS period_start_s, t.client_id AS client_id, t.{number} AS {number},
           count(*), sum(t.part = 0), sum(t.packets_out), sum(t.packets_in),
           sum(t.wire_bytes_out), sum(t.wire_bytes_in), sum(t.payload_bytes_out), sum(t.payload_bytes_in),
           sum(t.end_ns - t.start_ns),
           max(t.end_ns) - min(t.start_ns), min(t.start_ns), max(t.end_ns), max(t.flow_start_ns){of_records}
    FROM flow_records AS t
    WHERE {kind.records}
    GROUP BY t.period_start_s, t.client_id, t.{number}
) AS g
LEFT JOIN {kind.periods} AS k
    ON k.period_start_s = g.period_start_s AND k.client_id = g.client_id AND k.{number} = g.{number}
LEFT JOIN {kind.totals} AS e ON e.client_id = g.client_id AND e.{number} = g.{number}
"""  # noqa: S608 - constant names


def _statement(kind: Kind, level: Level) -> str:
    """Return the statement that adds the groups to a roll-up."""
    counts = [name for name, _ in level.counts]
    taken = [f"a.{name}" for name in level.key] + [text for _, text in level.counts]
    grouped = ""
    by_period = level.table == kind.periods
    if not counts:  # by channel, as the groups are already: few are of several periods
        taken += [f"a.{name}" for name in _FIGURES]
    else:
        taken += [f"sum(a.{name})" for name in _SUMS] + [f"{least}(a.{name})" for name, least in _EXTREMES.items()]
        grouped = f"GROUP BY {', '.join(level.key)}"
    changed = _changed((*counts, *_SUMS))
    names = [*level.key, *counts, *_FIGURES]
    if by_period:
        names, taken, changed = [*names, "spans"], [*taken, "a.spans"], [*changed, "spans = excluded.spans"]
    if by_period and kind.by_name:
        names, taken = [*names, "service_id"], [*taken, "a.service_id"]
        changed.append("service_id = coalesce(service_id, excluded.service_id)")
    key = ", ".join(level.key)
    return f"""INSERT INTO {level.table} ({", ".join(names)}) SELECT {", ".join(taken)} FROM temp.{kind.added} AS a
               WHERE true {grouped} ON CONFLICT ({key}) DO UPDATE SET {", ".join(changed)}"""  # noqa: S608 - as above


@cache
def _statements(kind: Kind) -> tuple[str, ...]:
    return tuple(_statement(kind, level) for level in kind.levels)


def group(conn: sqlite3.Connection, first: int, last: int, kind: Kind = SERVICES) -> None:
    """Put the records with these numbers into the table of groups; their sums must be below 2^62."""
    conn.execute(f"DELETE FROM temp.{kind.added}")  # noqa: S608 - constant name
    conn.execute(_group(kind), {"first": first, "last": last})


def roll_up(conn: sqlite3.Connection, kind: Kind = SERVICES) -> None:
    """Add the groups to every roll-up."""
    for statement in _statements(kind):
        conn.execute(statement)


def total_up(conn: sqlite3.Connection) -> None:
    """Make the totals again from the tables of periods, inside the caller's transaction: the sums of what is kept."""
    by_key = {level.key: level.table for level in _LEVELS}
    for level in _LEVELS:
        if "period_start_s" not in level.key:
            _total(conn, level, by_key["period_start_s", *level.key])
    for level in _HOST_LEVELS:
        if "period_start_s" not in level.key:
            _total(conn, level, HOSTS.periods)
    for statement in _COUNT_AGAIN:
        conn.execute(statement)


def _total(conn: sqlite3.Connection, level: Level, periods: str) -> None:
    names = [*level.key, *(name for name, _ in level.counts), *_FIGURES]
    taken = [*level.key, *("0" for _ in level.counts), *_FIGURES]
    conn.execute(f"DELETE FROM {level.table}")  # noqa: S608 - constant names
    # Row by row, for sums that SQLite cannot hold stop at the bound; no sorting takes memory.
    conn.execute(
        f"""INSERT INTO {level.table} ({", ".join(names)}) SELECT {", ".join(taken)} FROM {periods} WHERE true
            ON CONFLICT ({", ".join(level.key)}) DO UPDATE SET {", ".join(_changed(_SUMS))}"""  # noqa: S608 - as above
    )
