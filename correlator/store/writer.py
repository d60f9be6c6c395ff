"""Writes one transaction per batch of frames: rows, roll-ups, sessions, alarms and marks together."""

from __future__ import annotations

import gc
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from common.records import HttpExchange, SensorStats
from common.timespan import NS_PER_S
from correlator.columns import AT, Columns
from correlator.config import Thresholds
from correlator.detect.alarm import Alarm
from correlator.detect.listed import Contact, Figures
from correlator.detect.lists import Lists
from correlator.detect.sensors import Account
from correlator.detect.thresholds import ChannelTotals, FlowTotals
from correlator.store import details, sensors
from correlator.store.alarms import News, is_unseen, store_alarms
from correlator.store.columns import COLUMNS, details_of, rows
from correlator.store.database import Store, built, explained
from correlator.store.exchanges import TCP, exchange_rows, insert_exchanges
from correlator.store.listed import figures_of
from correlator.store.lists import ListBook
from correlator.store.meta import FLOWS_REMOVED, noted
from correlator.store.named import any_host, name_parts, prepare, roll_up_named
from correlator.store.numbers import clients, hosts, services
from correlator.store.openflows import note_open
from correlator.store.rollup import CREATE_ADDED, MAX_RECORDS, MAX_SUM, group, roll_up
from correlator.store.sessions import merge_sessions
from correlator.store.thresholds import channels_over, flows_over

_INSERT_RECORD: Final = (
    f"INSERT INTO flow_records ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 - constant names
    "ON CONFLICT (start_ns, flow_id, part, sensor_id) DO NOTHING"
)


class Arrived(NamedTuple):
    """Records that one sensor sent, in columns."""

    sensor: str
    columns: Columns

    @property
    def records(self) -> int:
        """How many they are."""
        return len(self.columns[0]) if self.columns else 0

    @property
    def named(self) -> bool:
        """Whether any of them knows its host."""
        return self.columns[AT["host"]].count(None) < self.records

    @property
    def parted(self) -> bool:
        """Whether any of them is a part of a flow that has several."""
        return any(self.columns[AT["part"]]) or None in self.columns[AT["end_reason"]]


class Written(NamedTuple):
    """What a batch of records changed."""

    stored: Counter[str]
    """Records that were new, by sensor."""
    arrived: Counter[str]
    flows_over: list[FlowTotals]
    channels_over: list[ChannelTotals]


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
        self._clients = clients(store.conn)
        self._services = services(store.conn)
        self._hosts = hosts(store.conn)
        self._book = ListBook(store)
        self._sensors: dict[str, int] = {}
        self._fields: int | None = None
        self._data_version = -1
        self._conn.execute("PRAGMA temp_store = MEMORY")
        self._conn.execute(CREATE_ADDED)
        prepare(self._conn)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything done inside, or nothing; UserError when the database cannot be written."""
        committed = False
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            self._forget_if_changed()
            with uncollected():
                yield
            self._conn.execute("COMMIT")
            committed = True
        except sqlite3.DatabaseError as error:
            raise explained(self._path, error) from error
        finally:
            if not committed:
                self._forget()
                if self._conn.in_transaction:  # on a full disk SQLite has rolled back itself
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

    def removed_ns(self) -> int:
        """Return the time before which flows may have been removed, 0 for none."""
        return noted(self._conn, FLOWS_REMOVED) * NS_PER_S

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

    def add_records(self, batch: Iterable[Arrived], now_ns: int, limits: Thresholds) -> Written:
        """Store records that are new, with their roll-ups and sessions; tell what is over the limits with them."""
        written = Written(Counter(), Counter(), [], [])
        first = start = self._next_record()
        waiting: list[Arrived] = []
        waiting_ns = 0
        for arrived in batch:
            if not arrived.records:
                continue
            written.arrived[arrived.sensor] += arrived.records
            for part, duration_ns in _addable(arrived):
                if first - start + part.records > MAX_RECORDS or waiting_ns + duration_ns > MAX_SUM:
                    self._roll_up(start, waiting, limits, written)
                    start, waiting, waiting_ns = first, [], 0
                written.stored[part.sensor] += self._insert(first, part, now_ns)
                first += part.records
                waiting.append(part)
                waiting_ns += duration_ns
        self._roll_up(start, waiting, limits, written)
        return written

    def add_exchanges(self, sensor: str, exchanges: Sequence[HttpExchange], now_ns: int) -> int:
        """Store the HTTP exchanges of a sensor that are new; return how many."""
        numbers = (
            self._clients.of(exchange.client_ip for exchange in exchanges),
            self._services.of((exchange.server_ip, exchange.server_port, TCP) for exchange in exchanges),
            self._hosts.of((exchange.host, TCP) for exchange in exchanges if exchange.host is not None),
        )
        rows = exchange_rows(self._sensor_number(sensor, now_ns), numbers, exchanges)
        return insert_exchanges(self._conn, rows)

    def lists(self) -> Lists:
        """Return the white, red and black lists as they are now."""
        return self._book.now()

    def figures_of(self, contact: Contact) -> Iterator[Figures]:
        """Yield a channel's figures in the periods of its contact."""
        return figures_of(self._conn, contact, self.built.period_s)

    def add_alarms(self, alarms: Iterable[Alarm]) -> list[News]:
        """Store alarms; return those that are new or more severe now."""
        return store_alarms(self._conn, alarms)

    def _forget_if_changed(self) -> None:
        """Drop what is remembered of the file when another program has written to it."""
        (version,) = self._conn.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._forget()
            self.built = built(self._conn)  # db rebuild may change it
            self._data_version = version

    def _forget(self) -> None:
        self._clients.forget()
        self._services.forget()
        self._hosts.forget()
        self._sensors.clear()
        self._fields = None

    def _next_record(self) -> int:
        # A block may have outlived the newest of its records.
        last = "SELECT first_record + records - 1 FROM record_details ORDER BY first_record DESC LIMIT 1"
        query = f"SELECT max(coalesce((SELECT max(record_id) FROM flow_records), 0), coalesce(({last}), 0))"  # noqa: S608
        return int(self._conn.execute(query).fetchone()[0]) + 1

    def _insert(self, first: int, arrived: Arrived, now_ns: int) -> int:
        """Insert those records that are not there, numbered from ``first``; return how many."""
        sensor, columns = arrived
        sensor_id = self._sensor_number(sensor, now_ns)
        if self._fields is None:
            self._fields = details.fields_number(self._conn)
        client_ids = self._clients.of(columns[AT["client_ip"]])
        services = zip(*(columns[AT[name]] for name in ("server_ip", "server_port", "protocol")), strict=True)
        service_ids = self._services.of(services)
        host_ids = self._host_ids(arrived)
        before = self._conn.total_changes
        self._conn.executemany(
            _INSERT_RECORD,
            rows(first, sensor_id, (client_ids, service_ids, host_ids), self.built.period_s, columns),
        )
        stored = self._conn.total_changes - before
        if stored:
            details.put(self._conn, first, arrived.records, self._fields, details_of(columns))
        return stored

    def _sensor_number(self, sensor: str, now_ns: int) -> int:
        if sensor not in self._sensors:
            self._sensors[sensor] = sensors.number(self._conn, sensor, now_ns)
        return self._sensors[sensor]

    def _host_ids(self, arrived: Arrived) -> list[int | None]:
        """Return the number of each record's host."""
        if not arrived.named:
            return [None] * arrived.records
        hosts, protocols = arrived.columns[AT["host"]], arrived.columns[AT["protocol"]]
        known = ((host, protocol) for host, protocol in zip(hosts, protocols, strict=True) if host is not None)
        numbers = iter(self._hosts.of(known))
        return [None if host is None else next(numbers) for host in hosts]

    def _roll_up(self, first: int, waiting: Sequence[Arrived], limits: Thresholds, written: Written) -> None:
        """Add records that are stored, numbered from ``first``, to the roll-ups."""
        last = first + sum(part.records for part in waiting) - 1
        if last < first:
            return
        group(self._conn, first, last)
        merge_sessions(self._conn, first, last, self.built)
        roll_up(self._conn)
        note_open(self._conn, first, last)
        named = any(part.named for part in waiting)
        if any(part.parted for part in waiting) and (named or any_host(self._conn)):
            named = True  # now, maybe
            name_parts(self._conn, first, last, self.built)
        if named:
            roll_up_named(self._conn, first, last, self.built)
        written.flows_over.extend(flows_over(self._conn, first, last, limits.flow))
        written.channels_over.extend(channels_over(self._conn, first, last, limits.channel_period))


def _addable(arrived: Arrived) -> Iterator[tuple[Arrived, int]]:
    """Yield records whose durations can be added up, and how long they are together: all, but for forged ones."""
    starts, ends = arrived.columns[AT["start_ns"]], arrived.columns[AT["end_ns"]]
    duration_ns = sum(ends) - sum(starts)
    if duration_ns <= MAX_SUM or arrived.records == 1:
        yield arrived, duration_ns
        return
    middle = arrived.records // 2
    for some in (slice(None, middle), slice(middle, None)):
        yield from _addable(Arrived(arrived.sensor, tuple(column[some] for column in arrived.columns)))
