"""What was learned of clients, services and channels, and the roll-ups that it is learned from."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

import msgspec

from common.addresses import endpoint_text
from common.timespan import NS_PER_S
from correlator.detect.alarm import Severity
from correlator.detect.baseline import Subject
from correlator.detect.castro import Visit
from correlator.detect.profile import DAY_S, HISTORY_S, Cell, Entry, Level, Values
from correlator.store.meta import note, noted

SINCE: Final = "learning_since_s"
"""Periods from before are not learned from; 0 for all."""
UNTIL: Final = "learning_until_s"
"""Learning ends with this time; 0 where that was never said."""
_ACKNOWLEDGED: Final = "learned_acknowledged_ns"
"""Up to when acknowledgements of alarms were taken into account."""
_PRUNED: Final = "profiles_pruned_s"

_VALUES: Final = """
t.connections, t.payload_bytes_out, t.payload_bytes_in, t.tcp_uptime_ns / 1000000000, t.channel_uptime_ns / 1000000000,
coalesce(t.last_ns, 0)
"""


class _Source(NamedTuple):
    """Where the figures of a level are."""

    periods: str
    totals: str
    thing: str
    things: str

    def rows(self) -> str:
        """Return the query for all subjects of one period that are known since a time."""
        client, thing, protocol, joined = "t.client_id", "0", "t.protocol", "k.protocol = t.protocol"
        if self.thing:
            thing, protocol, joined = f"t.{self.thing}", "n.protocol", f"k.{self.thing} = t.{self.thing}"
        named = f"JOIN {self.things} AS n ON n.{self.thing} = t.{self.thing}" if self.thing else ""
        if self.totals == "service_totals":
            client = "0"
        else:
            joined += " AND k.client_id = t.client_id"
        return f"""
            SELECT {client}, {thing}, {protocol}, {_VALUES} FROM {self.periods} AS t {named}
            JOIN {self.totals} AS k ON {joined} WHERE t.period_start_s = ? AND k.first_ns <= ?"""  # noqa: S608 - constant names

    def first(self) -> str:
        """Return the query for when a subject was first seen."""
        tests = [f"{self.thing} = :thing" if self.thing else "protocol = :protocol"]
        if self.totals != "service_totals":
            tests.append("client_id = :client")
        return f"SELECT first_ns FROM {self.totals} WHERE {' AND '.join(tests)}"  # noqa: S608 - constant names


_SOURCES: Final = {
    Level.CLIENT: _Source("client_periods", "client_totals", "", ""),
    Level.SERVICE: _Source("service_periods", "service_totals", "service_id", "services"),
    Level.CHANNEL: _Source("channel_periods", "channel_totals", "service_id", "services"),
    Level.NAMED: _Source("host_channel_periods", "host_channel_totals", "host_id", "hosts"),
}
_ROWS: Final = {level: source.rows() for level, source in _SOURCES.items()}
_FIRST: Final = {level: source.first() for level, source in _SOURCES.items()}
_CHANGED: Final = """
SELECT p.period_start_s FROM (
    SELECT period_start_s, sum(connections) AS connections, sum(packets_out + packets_in) AS packets FROM periods
    WHERE period_start_s >= :since AND period_start_s <= :last GROUP BY period_start_s
) AS p LEFT JOIN learned_periods AS l ON l.period_start_s = p.period_start_s
WHERE l.connections IS NOT p.connections OR l.packets IS NOT p.packets ORDER BY p.period_start_s
"""
_LEARNED: Final = """
INSERT OR REPLACE INTO learned_periods (period_start_s, connections, packets)
SELECT period_start_s, sum(connections), sum(packets_out + packets_in) FROM periods
WHERE period_start_s = ? GROUP BY period_start_s
"""
_CELL: Final = """
SELECT cell FROM profile_cells WHERE level = ? AND client_id = ? AND thing_id = ? AND protocol = ? AND slot = ?
"""
_CELLS: Final = """
SELECT slot, cell FROM profile_cells WHERE level = ? AND client_id = ? AND thing_id = ? AND protocol = ? ORDER BY slot
"""
_KEEP: Final = """
INSERT OR REPLACE INTO profile_cells (level, client_id, thing_id, protocol, slot, last_s, cell)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_ALARMED: Final = """
SELECT client, server, host FROM alarms
WHERE time_ns >= :start AND first_time_ns < :end AND acknowledged_ns IS NULL AND kind != 'sensor' AND severity != :low
"""
_encode: Final = msgspec.msgpack.Encoder().encode


class Id(NamedTuple):
    """Who a profile is of, in the store's own numbers; ``thing`` is a service or a host, 0 for none."""

    level: Level
    client: int
    thing: int
    protocol: int


class Row(NamedTuple):
    """One subject's figures in one period."""

    id: Id
    values: Values
    last_ns: int


@cache
def _decoder() -> msgspec.msgpack.Decoder[Cell]:
    return msgspec.msgpack.Decoder(Cell)


def changed_periods(conn: sqlite3.Connection, since_s: int, last_s: int) -> list[int]:
    """Return the periods between two, both included, with records that were not learned from yet, oldest first."""
    return [start_s for (start_s,) in conn.execute(_CHANGED, {"since": since_s, "last": last_s})]


def learned_periods(conn: sqlite3.Connection) -> list[int]:
    """Return the periods that were learned from, oldest first."""
    return [start_s for (start_s,) in conn.execute("SELECT period_start_s FROM learned_periods ORDER BY 1")]


def first_period(conn: sqlite3.Connection) -> int | None:
    """Return the oldest period with records, None for none."""
    found: int | None = conn.execute("SELECT min(period_start_s) FROM periods").fetchone()[0]
    return found


def last_period(conn: sqlite3.Connection) -> int | None:
    """Return the newest period with records, None for none."""
    found: int | None = conn.execute("SELECT max(period_start_s) FROM periods").fetchone()[0]
    return found


def note_learned(conn: sqlite3.Connection, period_s: int) -> None:
    """Note that a period was learned from as it is now, inside the caller's transaction."""
    conn.execute(_LEARNED, (period_s,))


def rows_of(conn: sqlite3.Connection, level: Level, period_s: int, protocols: Collection[int]) -> Iterator[Row]:
    """Yield what every subject of a level did in a period.

    Most channels never come back, so one is learned from the day after it was first seen on.
    """
    known_ns = (period_s - DAY_S) * NS_PER_S if _is_late(level) else 1 << 62
    for client, thing, protocol, *figures, last_ns in conn.execute(_ROWS[level], (period_s, known_ns)).fetchall():
        if protocol in protocols:
            yield Row(Id(level, client, thing, protocol), Values(*figures), last_ns)


def since_of(conn: sqlite3.Connection, subject: Id, period_s: int) -> int | None:
    """Return the first period of a subject's profile, None where it was never seen."""
    values = {"client": subject.client, "thing": subject.thing, "protocol": subject.protocol}
    found = conn.execute(_FIRST[subject.level], values).fetchone()
    if found is None or found[0] is None:
        return None
    if _is_late(subject.level):
        return int(-(-(found[0] + DAY_S * NS_PER_S) // (period_s * NS_PER_S)) * period_s)
    return int(found[0] // (period_s * NS_PER_S) * period_s)


def _is_late(level: Level) -> bool:
    return level in (Level.CHANNEL, Level.NAMED)


def cell(conn: sqlite3.Connection, subject: Id, slot: int) -> Cell:
    """Return what was learned of a subject in a slot."""
    found = conn.execute(_CELL, (*subject, slot)).fetchone()
    return _decoder().decode(found[0]) if found else Cell()


def cells(conn: sqlite3.Connection, subject: Id) -> dict[int, Cell]:
    """Return what was learned of a subject, by slot."""
    return {slot: _decoder().decode(packed) for slot, packed in conn.execute(_CELLS, subject)}


def put(conn: sqlite3.Connection, entries: Iterable[tuple[Id, Entry]], slot: int) -> None:
    """Add what subjects did in one period to their cells, inside the caller's transaction."""
    kept = []
    for subject, entry in entries:
        known = cell(conn, subject, slot)
        known.put(entry, entry.period_s - HISTORY_S)
        if known.entries:
            kept.append((*subject, slot, known.entries[-1].period_s, _encode(known)))
    conn.executemany(_KEEP, kept)


def visits(conn: sqlite3.Connection, channel: Id, period_s: int) -> list[Visit]:
    """Return the connections of a channel whose records began in a period."""
    query = """SELECT min(flow_start_ns), sum(payload_bytes_out) FROM flow_records
               WHERE period_start_s = ? AND client_id = ? AND service_id = ? GROUP BY sensor_id, flow_id"""
    return [Visit(*row) for row in conn.execute(query, (period_s, channel.client, channel.thing))]


def alarmed(conn: sqlite3.Connection, start_ns: int, end_ns: int) -> set[tuple[str | None, str | None, str | None]]:
    """Return client, server and host of the alarms in a time that nobody has acknowledged, but for the low ones."""
    return set(conn.execute(_ALARMED, {"start": start_ns, "end": end_ns, "low": Severity.LOW}))


def is_acknowledged(conn: sqlite3.Connection, alarm_id: str) -> bool:
    """Tell whether an alarm is stored and was acknowledged."""
    found = conn.execute("SELECT acknowledged_ns FROM alarms WHERE alarm_id = ?", (alarm_id,)).fetchone()
    return found is not None and found[0] is not None


def unlearn_acknowledged(conn: sqlite3.Connection, period_s: int) -> None:
    """Have the periods of alarms that were acknowledged since the last time learned from again, at full weight."""
    seen_ns = noted(conn, _ACKNOWLEDGED)
    newest_ns = seen_ns
    for first_ns, last_ns, acknowledged_ns in conn.execute(
        "SELECT first_time_ns, time_ns, acknowledged_ns FROM alarms WHERE acknowledged_ns > ?", (seen_ns,)
    ).fetchall():
        start_s = first_ns // NS_PER_S // period_s * period_s
        conn.execute(
            "UPDATE learned_periods SET packets = -1 WHERE period_start_s BETWEEN ? AND ?",
            (start_s, last_ns // NS_PER_S),
        )
        newest_ns = max(newest_ns, acknowledged_ns)
    if newest_ns > seen_ns:
        note(conn, _ACKNOWLEDGED, newest_ns)


def forget_old(conn: sqlite3.Connection, now_s: int) -> None:
    """Forget what is too old to be told by, once a day of traffic, inside the caller's transaction."""
    if now_s - noted(conn, _PRUNED) < DAY_S:
        return
    note(conn, _PRUNED, now_s)
    oldest_s = now_s - HISTORY_S
    conn.execute("DELETE FROM profile_cells WHERE last_s < ?", (oldest_s,))
    conn.execute("DELETE FROM learned_periods WHERE period_start_s < ?", (oldest_s,))
    for table in ("calibration_scores", "symptom_days"):
        column = "start_s" if table == "calibration_scores" else "day_s"
        conn.execute(f"DELETE FROM {table} WHERE {column} < ?", (oldest_s,))  # noqa: S608 - constant names


def forget_profiles(conn: sqlite3.Connection) -> None:
    """Forget all that was learned, so that it is learned again; inside the caller's transaction."""
    for table in ("profile_cells", "learned_periods", "calibration_scores", "channel_days", "symptom_days"):
        conn.execute(f"DELETE FROM {table}")  # noqa: S608 - constant names
    note(conn, _PRUNED, 0)


class Extent(NamedTuple):
    """How much was learned."""

    periods: int
    first_s: int | None
    last_s: int | None
    clients: int
    services: int
    channels: int
    hosts: int
    cells: int


def extent(conn: sqlite3.Connection) -> Extent:
    """Return how much was learned."""
    query = "SELECT count(*), min(period_start_s), max(period_start_s) FROM learned_periods"
    periods, first_s, last_s = conn.execute(query).fetchone()
    subjects = dict(
        conn.execute(
            """SELECT level, count(*) FROM (SELECT DISTINCT level, client_id, thing_id, protocol FROM profile_cells)
               GROUP BY level"""
        )
    )
    (count,) = conn.execute("SELECT count(*) FROM profile_cells").fetchone()
    clients, services, channels, hosts = (subjects.get(level, 0) for level in Level)
    return Extent(periods, first_s, last_s, clients, services, channels, hosts, count)


class Names:
    """Finds words for numbers and numbers for words."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def subject(self, found: Id) -> Subject:
        """Return who a profile is of, in words."""
        client = server = host = None
        if found.client:
            (client,) = self._conn.execute("SELECT client FROM clients WHERE client_id = ?", (found.client,)).fetchone()
        if found.level is Level.NAMED:
            (host,) = self._conn.execute("SELECT host FROM hosts WHERE host_id = ?", (found.thing,)).fetchone()
        elif found.thing:
            query = "SELECT server, server_port FROM services WHERE service_id = ?"
            server = endpoint_text(*self._conn.execute(query, (found.thing,)).fetchone())
        return Subject(found.level, client, server, host, found.protocol)

    def client(self, client: str) -> int | None:
        """Return a client's number."""
        return self._one("SELECT client_id FROM clients WHERE client = ?", client)

    def service(self, server: str, port: int, protocol: int) -> int | None:
        """Return a service's number."""
        query = "SELECT service_id FROM services WHERE server = ? AND server_port = ? AND protocol = ?"
        return self._one(query, server, port, protocol)

    def host(self, host: str, protocol: int) -> int | None:
        """Return a host name's number."""
        return self._one("SELECT host_id FROM hosts WHERE host = ? AND protocol = ?", host, protocol)

    def _one(self, query: str, *values: object) -> int | None:
        found = self._conn.execute(query, values).fetchone()
        return None if found is None else int(found[0])
