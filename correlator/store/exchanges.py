"""HTTP exchanges as rows of ``http_exchanges``, both ways, and the question for some of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from common.addresses import address_packed
from common.records import HttpExchange
from correlator.rows import Selection
from correlator.store.database import Store
from correlator.store.where import host_test, ids_of

TCP: Final = 6
_NUMBERED: Final = {
    "client_ip": "c.client",
    "server_ip": "s.server",
    "server_port": "s.server_port",
    "host": "(SELECT h.host FROM hosts AS h WHERE h.host_id = t.host_id)",
}
_LISTS: Final = ("header_names", "anomalies")
_OWN: Final = tuple(name for name in HttpExchange._fields if name not in _NUMBERED and name not in _LISTS)
_COLUMNS: Final = ("sensor_id", "client_id", "service_id", "host_id", *_OWN, *_LISTS)
_INSERT: Final = (
    f"INSERT INTO http_exchanges ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - constant names
    "ON CONFLICT (start_ns, flow_id, number, sensor_id) DO NOTHING"
)
_take_own: Final = attrgetter(*_OWN)
_EXPRESSIONS: Final = tuple(_NUMBERED.get(name, f"t.{name}") for name in HttpExchange._fields)
_ADDRESSES: Final = ("client_ip", "server_ip")
_JOIN: Final = """
FROM http_exchanges AS t
JOIN clients AS c ON c.client_id = t.client_id
JOIN services AS s ON s.service_id = t.service_id
JOIN sensors AS n ON n.sensor_id = t.sensor_id
"""


class Wanted(NamedTuple):
    """Which exchanges are wanted beside those of a selection; None for all."""

    methods: tuple[str, ...] = ()
    """In capitals."""
    statuses: tuple[tuple[int, int], ...] = ()
    """Ranges, both ends included."""
    anomalies: tuple[str, ...] = ()
    """One of these words."""
    odd: bool = False
    """With any anomaly."""
    ascending: bool = False
    limit: int | None = None


def exchange_rows(
    sensor_id: int, numbers: tuple[list[int], list[int], list[int]], exchanges: Sequence[HttpExchange]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a sensor's exchanges; ``numbers`` are of their clients, services and the hosts there are."""
    clients, services, hosts = numbers
    known = iter(hosts)
    for client_id, service_id, exchange in zip(clients, services, exchanges, strict=True):
        host_id = None if exchange.host is None else next(known)
        lists = (_json(getattr(exchange, name)) for name in _LISTS)
        yield (sensor_id, client_id, service_id, host_id, *_take_own(exchange), *lists)


def insert_exchanges(conn: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> int:
    """Insert rows that are not there, inside the caller's transaction; return how many."""
    before = conn.total_changes
    conn.executemany(_INSERT, rows)
    return conn.total_changes - before


def select_exchanges(store: Store, chosen: Selection, wanted: Wanted) -> Iterator[tuple[str, HttpExchange]]:
    """Yield (sensor, exchange) of a selection, by time; newest first unless asked otherwise."""
    tests, values = _tests(store, chosen, wanted)
    order = "ASC" if wanted.ascending else "DESC"
    query = f"""SELECT n.sensor, {", ".join(_EXPRESSIONS)} {_JOIN} WHERE {" AND ".join(tests)}
                ORDER BY t.start_ns {order}, t.flow_id {order}, t.number {order} LIMIT :limit"""
    values["limit"] = -1 if wanted.limit is None else wanted.limit
    for sensor, *row in store.conn.execute(query, values):
        yield sensor, _exchange(row)


def _tests(store: Store, chosen: Selection, wanted: Wanted) -> tuple[list[str], dict[str, Any]]:
    values: dict[str, Any] = {}
    tests = ["true"]
    for name, test in (("since", "t.start_ns >= :since"), ("until", "t.start_ns < :until")):
        if (bound := getattr(chosen, f"{name}_ns")) is not None:
            tests.append(test)
            values[name] = bound
    ids = ids_of(store.conn, chosen._replace(host=None))
    # SQLite is to go through the times, in their order, and not to look for each of the numbers.
    for column, numbers in (("client_id", ids.clients), ("service_id", ids.services)):
        if numbers is not None:
            tests.append(f"+t.{column} IN (SELECT value FROM json_each(:{column}))")  # noqa: S608 - constant names
            values[column] = json.dumps(numbers)
    if chosen.host is not None:
        test, bound = host_test(chosen.host)
        tests.append(f"+t.host_id IN (SELECT h.host_id FROM hosts AS h WHERE {test})")  # noqa: S608 - constant test
        values |= bound
    if wanted.methods:
        tests.append("upper(t.method) IN (SELECT value FROM json_each(:methods))")
        values["methods"] = json.dumps(wanted.methods)
    if wanted.statuses:
        tests.append(
            "EXISTS (SELECT 1 FROM json_each(:statuses) AS j WHERE t.status BETWEEN j.value ->> 0 AND j.value ->> 1)"
        )
        values["statuses"] = json.dumps(wanted.statuses)
    if wanted.odd:
        tests.append("t.anomalies IS NOT NULL")
    if wanted.anomalies:
        tests.append(
            "EXISTS (SELECT 1 FROM json_each(t.anomalies) AS a WHERE a.value IN (SELECT value FROM json_each(:words)))"
        )
        values["words"] = json.dumps(wanted.anomalies)
    return tests, values


def _json(values: tuple[str, ...] | None) -> str | None:
    return None if values is None else json.dumps(values, ensure_ascii=False)


def _exchange(row: Sequence[Any]) -> HttpExchange:
    values = dict(zip(HttpExchange._fields, row, strict=True))
    for name in _ADDRESSES:
        values[name] = address_packed(values[name])
    for name in _LISTS:
        values[name] = None if values[name] is None else tuple(json.loads(values[name]))
    return HttpExchange(**values)
