"""What detection remembers between its steps, and the records it has not seen yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import msgspec

from common.timespan import NS_PER_S
from correlator.detect.channel import Channel, Key, Surroundings, key_of
from correlator.detect.fold import Memory, OpenFlow, Taken
from correlator.detect.habits import Habits
from correlator.store.columns import RECORD_EXPRESSIONS, record_of
from correlator.store.database import Store, explained, immediate
from correlator.store.details import Details
from correlator.store.meta import note, noted

SEEN: Final = "detected_record"
"""The highest record_id that detection has seen."""
LAYOUT: Final = "detect_layout"
_LAYOUT: Final = 3
"""Of what is remembered: memory of another layout is forgotten, and the records are looked at again."""
_NEW: Final = f"""
SELECT t.record_id, n.sensor, {", ".join(RECORD_EXPRESSIONS)} FROM flow_records AS t
JOIN clients AS c ON c.client_id = t.client_id
JOIN services AS s ON s.service_id = t.service_id
JOIN sensors AS n ON n.sensor_id = t.sensor_id
WHERE t.record_id > ? AND t.record_id <= ? ORDER BY t.record_id
"""  # noqa: S608 - constant names
_CHANNEL: Final = "SELECT state FROM detect_channels WHERE client = ? AND peer = ? AND port = ? AND protocol = ?"
_KEEP_CHANNEL: Final = """
INSERT OR REPLACE INTO detect_channels (client, peer, port, protocol, last_ns, log10_odds, state)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_FLOW: Final = "SELECT state FROM detect_flows WHERE sensor = ? AND flow_id = ?"
_KEEP_FLOW: Final = "INSERT OR REPLACE INTO detect_flows (sensor, flow_id, last_ns, state) VALUES (?, ?, ?, ?)"
_HABITS: Final = "SELECT state FROM detect_clients WHERE client = ?"
_KEEP_HABITS: Final = "INSERT OR REPLACE INTO detect_clients (client, last_ns, state) VALUES (?, ?, ?)"
_OF_HOST: Final = """
SELECT t.clients, t.first_ns FROM host_totals AS t JOIN hosts AS h ON h.host_id = t.host_id
WHERE h.host = ? AND h.protocol = ?
"""
_OF_SERVICE: Final = """
SELECT t.clients, t.first_ns FROM service_totals AS t JOIN services AS s ON s.service_id = t.service_id
WHERE s.server = ? AND s.server_port = ? AND s.protocol = ?
"""
_encode: Final = msgspec.msgpack.Encoder().encode


@cache  # made when first needed: a command that shows views needs none of it
def _channel_decoder() -> msgspec.msgpack.Decoder[Channel]:
    return msgspec.msgpack.Decoder(Channel)


@cache
def _flow_decoder() -> msgspec.msgpack.Decoder[OpenFlow]:
    return msgspec.msgpack.Decoder(OpenFlow)


@cache
def _habits_decoder() -> msgspec.msgpack.Decoder[Habits]:
    return msgspec.msgpack.Decoder(Habits)


@contextmanager
def transaction(store: Store) -> Iterator[sqlite3.Connection]:
    """Commit everything done inside, or nothing; UserError in one line. Within a transaction it is a part of that."""
    if store.conn.in_transaction:
        yield store.conn
        return
    try:
        with immediate(store.conn):
            yield store.conn
    except sqlite3.DatabaseError as error:
        raise explained(store.path, error) from error


def waiting(conn: sqlite3.Connection) -> tuple[int, int]:
    """Return the id of the last record seen, and of the last there is."""
    (last,) = conn.execute("SELECT coalesce(max(record_id), 0) FROM flow_records").fetchone()
    return noted(conn, SEEN), int(last)


def new_records(conn: sqlite3.Connection, after: int, until: int) -> Iterator[Taken]:
    """Yield the records with ids after one and up to another."""
    details_of = Details(conn).following()
    for record_id, sensor, *plain in conn.execute(_NEW, (after, until)):
        yield Taken(sensor, record_of(plain, details_of(record_id)))


def note_seen(conn: sqlite3.Connection, record_id: int) -> None:
    """Keep the id of the last record seen, inside the caller's transaction."""
    note(conn, SEEN, record_id)


def remembered(conn: sqlite3.Connection, keys: Collection[Key], flows: Collection[tuple[str, int]]) -> Memory:
    """Return what is remembered of these channels and flows, and of the channels that those flows are known by."""
    memory = Memory({}, {})
    for name in flows:
        if found := conn.execute(_FLOW, name).fetchone():
            memory.flows[name] = _flow_decoder().decode(found[0])
    for key in {*keys, *(key_of(flow.record) for flow in memory.flows.values())}:
        if found := conn.execute(_CHANNEL, key).fetchone():
            memory.channels[key] = _channel_decoder().decode(found[0])
    return memory


def keep_channels(conn: sqlite3.Connection, judged: Collection[tuple[Channel, float]]) -> None:
    """Remember channels and their log10 odds, inside the caller's transaction."""
    conn.executemany(
        _KEEP_CHANNEL, [(*channel.key, channel.last_ns, odds, _encode(channel)) for channel, odds in judged]
    )


def keep_flows(conn: sqlite3.Connection, memory: Memory, before: Collection[tuple[str, int]]) -> None:
    """Remember the flows that go on and forget those of ``before`` that do not, inside the caller's transaction."""
    rows = [(*name, flow.record.end_ns, _encode(flow)) for name, flow in memory.flows.items()]
    conn.executemany(_KEEP_FLOW, rows)
    ended = [name for name in before if name not in memory.flows]
    conn.executemany("DELETE FROM detect_flows WHERE sensor = ? AND flow_id = ?", ended)


def forget_all(conn: sqlite3.Connection) -> None:
    """Forget all that detection remembers, so that it begins anew; inside the caller's transaction."""
    conn.execute("DELETE FROM detect_channels")
    conn.execute("DELETE FROM detect_flows")
    conn.execute("DELETE FROM detect_clients")
    note(conn, SEEN, 0)
    note(conn, LAYOUT, _LAYOUT)


def is_current(conn: sqlite3.Connection) -> bool:
    """Tell whether what is remembered has the layout that this program knows."""
    return noted(conn, LAYOUT) == _LAYOUT


def forget_before(conn: sqlite3.Connection, time_ns: int) -> None:
    """Forget channels, open flows and clients that were last seen before a time, inside the caller's transaction."""
    conn.execute("DELETE FROM detect_channels WHERE last_ns < ?", (time_ns,))
    conn.execute("DELETE FROM detect_flows WHERE last_ns < ?", (time_ns,))
    conn.execute("DELETE FROM detect_clients WHERE last_ns < ?", (time_ns,))


class Clients:
    """The habits of clients, each read once, until ``keep`` writes them back."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._habits: dict[str, Habits] = {}
        self._last_ns: dict[str, int] = {}

    def note(self, records: Iterable[Taken]) -> None:
        """Count the connections that begin among these records."""
        for _, record in records:
            if not record.part:
                client, peer, port, _ = key_of(record)
                self.of(client).add(record.flow_start_ns, port, peer)
                self._last_ns[client] = max(self._last_ns.get(client, 0), record.end_ns)

    def of(self, client: str) -> Habits:
        """Return a client's habits, empty ones when nothing is known of it."""
        habits = self._habits.get(client)
        if habits is None:
            found = self._conn.execute(_HABITS, (client,)).fetchone()
            habits = self._habits[client] = _habits_decoder().decode(found[0]) if found else Habits()
        return habits

    def keep(self) -> None:
        """Remember the habits that changed, inside the caller's transaction."""
        rows = [(client, last_ns, _encode(self._habits[client])) for client, last_ns in self._last_ns.items()]
        self._conn.executemany(_KEEP_HABITS, rows)


class Neighbourhood:
    """Answers how well known a channel's peer is, and what its client usually does; made anew for every step."""

    def __init__(self, conn: sqlite3.Connection, clients: Clients) -> None:
        self._conn = conn
        self._habits = clients
        self._clients: int = conn.execute("SELECT count(*) FROM clients").fetchone()[0]
        self._begin_ns: int = (conn.execute("SELECT min(period_start_s) FROM periods").fetchone()[0] or 0) * NS_PER_S
        self._known: dict[tuple[Any, ...], tuple[int, int]] = {}

    def of(self, channel: Channel, now_ns: int) -> Surroundings:
        """Return a channel's surroundings."""
        peer_clients, first_ns = self._peer(channel)
        return Surroundings(
            now_ns,
            peer_clients,
            self._clients,
            first_ns or channel.first_ns,
            now_ns - self._begin_ns,
            self._habits.of(channel.client),
        )

    def _peer(self, channel: Channel) -> tuple[int, int]:
        asked: tuple[Any, ...] = (channel.peer, channel.port, channel.protocol)
        if channel.host is not None:
            asked = (channel.host, channel.protocol)
        if asked not in self._known:
            query = _OF_SERVICE if channel.host is None else _OF_HOST
            found = self._conn.execute(query, asked).fetchone()
            self._known[asked] = found or (1, 0)
        return self._known[asked]
