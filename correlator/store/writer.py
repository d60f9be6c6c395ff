"""Writes one transaction per batch of frames: rows, roll-ups, sessions, alarms and marks together."""

from __future__ import annotations

import gc
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import starmap
from typing import Final, NamedTuple

import msgspec

from common.addresses import address_text
from common.records import FlowRecord, SensorStats
from correlator.detect.alarm import Alarm
from correlator.detect.sensors import Account
from correlator.store import sensors
from correlator.store.alarms import is_unseen, store_alarms
from correlator.store.columns import (
    COLUMNS,
    ChannelKey,
    channel_id,
    channel_key,
    row_of,
)
from correlator.store.database import Store, explained
from correlator.store.rollup import MAX_SUM, PeriodKey, StoredRecord, intervals_of, periods_of
from correlator.store.sessions import merge_sessions

_INSERT_RECORD: Final = (
    f"INSERT INTO flow_records ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 - constant names
    "ON CONFLICT (sensor, flow_id, part) DO NOTHING"
)
_INSERT_CHANNEL: Final = """
INSERT OR IGNORE INTO channels (channel_id, protocol, client, server, server_port) VALUES (?, ?, ?, ?, ?)
"""
_ADD_PERIOD: Final = f"""
INSERT INTO channel_periods (
    period_start_ns, channel_id, connections, packets_out, packets_in, wire_bytes_out, wire_bytes_in,
    payload_bytes_out, payload_bytes_in, tcp_uptime_ns, first_ns, last_ns, last_start_ns)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (period_start_ns, channel_id) DO UPDATE SET
    connections = min(connections + excluded.connections, {MAX_SUM}),
    packets_out = min(packets_out + excluded.packets_out, {MAX_SUM}),
    packets_in = min(packets_in + excluded.packets_in, {MAX_SUM}),
    wire_bytes_out = min(wire_bytes_out + excluded.wire_bytes_out, {MAX_SUM}),
    wire_bytes_in = min(wire_bytes_in + excluded.wire_bytes_in, {MAX_SUM}),
    payload_bytes_out = min(payload_bytes_out + excluded.payload_bytes_out, {MAX_SUM}),
    payload_bytes_in = min(payload_bytes_in + excluded.payload_bytes_in, {MAX_SUM}),
    tcp_uptime_ns = min(tcp_uptime_ns + excluded.tcp_uptime_ns, {MAX_SUM}),
    first_ns = min(first_ns, excluded.first_ns),
    last_ns = max(last_ns, excluded.last_ns),
    last_start_ns = max(last_start_ns, excluded.last_start_ns)
"""  # noqa: S608 - a constant number
_OVER: Final = """
SELECT p.channel_id, p.packets_out + p.packets_in, p.payload_bytes_out + p.payload_bytes_in,
       p.tcp_uptime_ns, p.last_ns
FROM json_each(:channels) AS j
JOIN channel_periods AS p ON p.period_start_ns = :period AND p.channel_id = j.value
WHERE (:packets > 0 AND p.packets_out + p.packets_in > :packets)
   OR (:bytes > 0 AND p.payload_bytes_out + p.payload_bytes_in > :bytes)
   OR (:uptime > 0 AND p.tcp_uptime_ns > :uptime)
"""
_FLOW_SO_FAR: Final = """
SELECT CAST(total(packets_out + packets_in) AS INTEGER), CAST(total(payload_bytes_out + payload_bytes_in) AS INTEGER)
FROM flow_records WHERE sensor = ? AND flow_id = ?
"""
_KNOWN_CHANNELS: Final = 200_000


class FlowSoFar(NamedTuple):
    """All parts of a flow that are stored."""

    packets: int
    payload_bytes: int


class PeriodSoFar(NamedTuple):
    """A channel's roll-up in one period after the batch."""

    packets: int
    payload_bytes: int
    tcp_uptime_ns: int
    last_ns: int


class Written(NamedTuple):
    """What a batch of records changed."""

    records: list[StoredRecord]
    duplicates: int
    periods: set[PeriodKey]
    """The roll-ups that the records added to."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Put the search for cycles off: a batch makes very many objects and none of those."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Writer:
    """The only writer of a store that is open for writing."""

    def __init__(self, store: Store) -> None:
        self._conn = store.conn
        self._path = store.path
        self.built = store.built
        self._known_channels: set[int] = set()
        self._data_version = -1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything done inside, or nothing; UserError when the database cannot be written."""
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            self._forget_if_changed()
            with uncollected():
                yield
            self._conn.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise explained(self._path, error) from error
        finally:
            if self._conn.in_transaction:  # it did not get as far as COMMIT
                self._known_channels.clear()
                self._conn.execute("ROLLBACK")

    def mark(self, sensor: str, run: int) -> int:
        """Return the highest sequence of a run that is done with, 0 for none."""
        query = "SELECT sequence FROM sensor_runs WHERE sensor = ? AND run = ?"
        found = self._conn.execute(query, (sensor, run)).fetchone()
        return int(found[0]) if found else 0

    def set_marks(self, marks: Mapping[tuple[str, int], int]) -> None:
        """Raise the high-water marks of runs."""
        self._conn.executemany(
            """INSERT INTO sensor_runs (sensor, run, sequence) VALUES (?, ?, ?)
               ON CONFLICT (sensor, run) DO UPDATE SET sequence = max(sequence, excluded.sequence)""",
            [(sensor, run, sequence) for (sensor, run), sequence in marks.items()],
        )

    def count(self, sensor: str, now_ns: int, counts: Counter[str]) -> None:
        """Add to a sensor's counters and note the contact; the sensor is made when it is new."""
        sensors.count(self._conn, sensor, now_ns, counts)

    def set_stats(self, sensor: str, stats: SensorStats, account: Account | None = None) -> None:
        """Keep a sensor's latest statistics; without an account, older ones than those kept are left out."""
        sensors.set_stats(self._conn, sensor, stats, account)

    def accounted(self, sensor: str) -> sensors.Accounted | None:
        """Return a sensor's latest statistics and what was made of them."""
        return sensors.accounted(self._conn, sensor)

    def note_contacts(self, heard_ns: Mapping[str, int]) -> None:
        """Note when sensors spoke over the link."""
        sensors.note_contacts(self._conn, heard_ns)

    def watched(self) -> list[tuple[str, int]]:
        """Return (sensor, last contact over the link) of all that are expected to speak; UserError as ever."""
        try:
            return sensors.watched(self._conn)
        except sqlite3.DatabaseError as error:
            raise explained(self._path, error) from error

    def unseen(self, alarms: Iterable[Alarm]) -> list[Alarm]:
        """Return the alarms that are not stored with this time or a later one; UserError as ever."""
        try:
            return [alarm for alarm in alarms if is_unseen(self._conn, alarm)]
        except sqlite3.DatabaseError as error:
            raise explained(self._path, error) from error

    def add_records(self, arrived: Sequence[tuple[str, FlowRecord]]) -> Written:
        """Store records that are new, with their roll-ups and sessions."""
        candidates = [StoredRecord(sensor, channel_id(channel_key(r)), r) for sensor, r in arrived]
        self._add_channels(candidates)
        records = self._insert(candidates)
        periods = self._add_periods(records)
        merge_sessions(self._conn, intervals_of(records), self.built.channel_gap_ns)
        return Written(records, len(candidates) - len(records), periods)

    def flow_so_far(self, sensor: str, flow_id: int) -> FlowSoFar:
        """Return what all stored parts of a flow add up to."""
        packets, payload = self._conn.execute(_FLOW_SO_FAR, (sensor, flow_id)).fetchone()
        return FlowSoFar(packets, payload)

    def periods_over(
        self, periods: Iterable[PeriodKey], *, packets: int, payload_bytes: int, tcp_uptime_ns: int
    ) -> dict[PeriodKey, PeriodSoFar]:
        """Return those of the roll-ups that are over one of the limits, of which 0 is none."""
        by_period: dict[int, list[int]] = {}
        for period, channel in periods:
            by_period.setdefault(period, []).append(channel)
        limits = {"packets": packets, "bytes": payload_bytes, "uptime": tcp_uptime_ns}
        over: dict[PeriodKey, PeriodSoFar] = {}
        for period, channels in by_period.items():
            values = {**limits, "period": period, "channels": msgspec.json.encode(channels).decode()}
            for channel, *so_far in self._conn.execute(_OVER, values):
                over[period, channel] = PeriodSoFar._make(so_far)
        return over

    def add_alarms(self, alarms: Iterable[Alarm]) -> int:
        """Store alarms; return how many are new."""
        return store_alarms(self._conn, alarms)

    def _forget_if_changed(self) -> None:
        """Drop what is remembered of the file when another program has written to it."""
        (version,) = self._conn.execute("PRAGMA data_version").fetchone()
        if version != self._data_version or len(self._known_channels) > _KNOWN_CHANNELS:
            self._known_channels.clear()
            self._data_version = version

    def _add_channels(self, candidates: Iterable[StoredRecord]) -> None:
        new: dict[int, ChannelKey] = {
            channel: channel_key(record) for _, channel, record in candidates if channel not in self._known_channels
        }
        self._conn.executemany(
            _INSERT_CHANNEL,
            [
                (channel, protocol, address_text(client), address_text(server), port)
                for channel, (protocol, client, server, port) in new.items()
            ],
        )
        self._known_channels.update(new)

    def _insert(self, candidates: list[StoredRecord]) -> list[StoredRecord]:
        """Insert those that are not there; only when some were, look which."""
        (last,) = self._conn.execute("SELECT coalesce(max(rowid), 0) FROM flow_records").fetchone()
        before = self._conn.total_changes
        self._conn.executemany(_INSERT_RECORD, starmap(row_of, candidates))
        if self._conn.total_changes - before == len(candidates):
            return candidates
        new = set(self._conn.execute("SELECT sensor, flow_id, part FROM flow_records WHERE rowid > ?", (last,)))
        stored: list[StoredRecord] = []
        for candidate in candidates:
            key = (candidate.sensor, candidate.record.flow_id, candidate.record.part)
            if key in new:
                new.remove(key)  # of those alike in a batch the first was stored
                stored.append(candidate)
        return stored

    def _add_periods(self, records: Iterable[StoredRecord]) -> set[PeriodKey]:
        added = periods_of(records, self.built.period_ns)
        self._conn.executemany(_ADD_PERIOD, [(*key, *values) for key, values in sorted(added.items())])
        return set(added)
