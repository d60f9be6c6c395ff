"""Selections as SQL: which table answers for which stretch of time, and the way into it by the least rows."""

from __future__ import annotations

import ipaddress
import json
import sqlite3
from enum import Enum
from typing import Any, Final, NamedTuple

from common.timespan import NS_PER_S
from correlator.rows import Selection


class Table(Enum):
    """A table that has figures, and the column that its rows are in time by."""

    TOTALS = "channel_totals"
    PERIODS = "channel_periods"
    CLIENT_PERIODS = "client_periods"
    SERVICE_PERIODS = "service_periods"
    ALL_PERIODS = "periods"
    RECORDS = "flow_records"
    HOST_TOTALS = "host_channel_totals"
    HOST_PERIODS = "host_channel_periods"
    HOST_SERVICES = "host_period_services"


class Segment(NamedTuple):
    """A stretch of time that one table answers for; None is open."""

    table: Table
    since_ns: int | None
    until_ns: int | None


class Source(NamedTuple):
    """Rows of a table as ``t``, with the values that are bound."""

    origin: str
    tests: str
    values: dict[str, Any]

    @property
    def sql(self) -> str:
        """What follows SELECT; more tests may follow it."""
        return f"{self.origin} WHERE {self.tests}"


class Ids(NamedTuple):
    """The clients, services and hosts that a selection names, by number; None for all."""

    clients: list[int] | None
    services: list[int] | None
    hosts: list[int] | None = None


def segments(since_ns: int | None, until_ns: int | None, period_ns: int) -> list[Segment]:
    """Split a time range into whole periods, which roll-ups answer for, and the edges beside them."""
    if since_ns is None and until_ns is None:
        return [Segment(Table.TOTALS, None, None)]
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        return []
    first = None if since_ns is None else -(-since_ns // period_ns) * period_ns
    last = None if until_ns is None else until_ns // period_ns * period_ns
    if first is not None and last is not None and first >= last:
        return [Segment(Table.RECORDS, since_ns, until_ns)]
    found = [Segment(Table.PERIODS, first, last)]
    if since_ns != first:
        found.insert(0, Segment(Table.RECORDS, since_ns, first))
    if until_ns != last:
        found.append(Segment(Table.RECORDS, last, until_ns))
    return found


def ids_of(conn: sqlite3.Connection, chosen: Selection) -> Ids:
    """Return the numbers of what a selection names."""
    clients = None
    if chosen.client is not None:
        clients = _addresses(conn, "SELECT client_id, client FROM clients", "client", chosen.client)
    services = None
    tests = {"server_port = :port": chosen.server_port, "server_port BETWEEN :low AND :high": chosen.server_ports}
    if chosen.server is not None or any(value is not None for value in tests.values()):
        low, high = chosen.server_ports or (None, None)
        clause = " AND ".join(["true", *(test for test, value in tests.items() if value is not None)])
        query = f"SELECT service_id, server FROM services WHERE {clause}"  # noqa: S608 - constant tests
        values = {"port": chosen.server_port, "low": low, "high": high}
        services = _addresses(conn, query, "server", chosen.server, values)
    hosts = None
    if chosen.host is not None:
        test, bound = host_test(chosen.host)
        query = f"SELECT h.host_id FROM hosts AS h WHERE {test}"  # noqa: S608 - constant test
        hosts = [number for (number,) in conn.execute(query, bound)]
    return Ids(clients, services, hosts)


def _addresses(
    conn: sqlite3.Connection, query: str, column: str, wanted: str | None, values: dict[str, Any] | None = None
) -> list[int]:
    """Return the numbers of the rows (number, address) whose address is the one wanted, or in that network."""
    bound = values or {}
    if wanted is None:
        return [number for number, _ in conn.execute(query, bound)]
    if "/" not in wanted:
        joint = "AND" if "WHERE" in query else "WHERE"
        rows = conn.execute(f"{query} {joint} {column} = :wanted", {**bound, "wanted": wanted})
        return [number for number, _ in rows]
    network = ipaddress.ip_network(wanted, strict=False)
    return [number for number, text in conn.execute(query, bound) if _is_in(text, network)]


def _is_in(text: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    address = ipaddress.ip_address(text)
    return address.version == network.version and address in network


_IN_PERIODS: Final = "(SELECT DISTINCT period_start_s FROM periods WHERE {tests}) AS p CROSS JOIN "
_CLIENTS: Final = "json_each(:clients) AS i CROSS JOIN "
# To look for each of more in every period takes longer than to go through all rows of the time.
_FEW: Final = 1000
_SERVICES: Final = "json_each(:services) AS i CROSS JOIN "


def source(ids: Ids, chosen: Selection, part: Segment, period_s: int) -> Source:
    """Return where the rows of a segment come from, and the tests that they pass; protocols are not among these."""
    values: dict[str, Any] = {}
    tests = ["true"]
    if ids.clients is not None:
        values["clients"] = json.dumps(ids.clients)
    if ids.services is not None:
        values["services"] = json.dumps(ids.services)
    way = ids
    if part.table not in (Table.TOTALS, Table.HOST_TOTALS):
        clients, services = (None if some is None or len(some) > _FEW else some for some in (ids.clients, ids.services))
        way = ids._replace(clients=clients, services=services)
    if ids.clients is not None and way.clients is None:
        tests.append("t.client_id IN (SELECT value FROM json_each(:clients))")
    if ids.services is not None and (way.services is None or way.clients is not None):
        tests.append("t.service_id IN (SELECT value FROM json_each(:services))")
    if part.table in (Table.TOTALS, Table.HOST_TOTALS):
        return Source(_totals(ids, part.table), " AND ".join(tests), values)
    times, bound = _times(part, period_s)
    values |= bound
    if part.table is Table.RECORDS:
        tests += [f"t.start_ns {test}" for test in times]
        if chosen.host is not None:
            values["hosts"] = json.dumps(ids.hosts)
            tests.append("t.host_id IN (SELECT value FROM json_each(:hosts))")
        return Source(_records(way, part), " AND ".join(tests), values)
    tests += [f"t.period_start_s {test}" for test in times]
    return Source(_periods(way, part), " AND ".join(tests), values)


def _times(part: Segment, period_s: int) -> tuple[list[str], dict[str, int]]:
    """Return the tests of a segment's time on the column of its table, and what they bind.

    ``first_period`` and ``last_period`` are bound too: those that its rows are in.
    """
    unit = 1 if part.table is Table.RECORDS else NS_PER_S
    length_ns = period_s * NS_PER_S
    tests: list[str] = []
    bound: dict[str, int] = {}
    if part.since_ns is not None:
        tests.append(">= :since")
        bound |= {"since": part.since_ns // unit, "first_period": part.since_ns // length_ns * period_s}
    if part.until_ns is not None:
        tests.append("< :until")
        bound |= {"until": part.until_ns // unit, "last_period": (part.until_ns - 1) // length_ns * period_s}
    return tests, bound


def its_protocol(table: Table) -> str:
    """Return the test that rows of a table, as ``t``, are of the protocol bound, if there is one."""
    if table in (Table.CLIENT_PERIODS, Table.ALL_PERIODS):
        return "(:protocol IS NULL OR t.protocol = :protocol)"
    of_service = "SELECT s.protocol FROM services AS s WHERE s.service_id = t.service_id"
    return f"(:protocol IS NULL OR ({of_service}) = :protocol)"


def host_test(host: str) -> tuple[str, dict[str, str]]:
    """Return the test that rows of hosts AS h have a name, or one below it, and what it binds."""
    below = host.startswith("*.")
    test = "substr(h.host, -length(:host)) = :host" if below else "h.host = :host"
    return test, {"host": host.lower()[below:]}


def _through_periods(part: Segment) -> str:
    tests = ["true"]
    if part.since_ns is not None:
        tests.append("period_start_s >= :first_period")
    if part.until_ns is not None:
        tests.append("period_start_s <= :last_period")
    return _IN_PERIODS.format(tests=" AND ".join(tests))


def _totals(ids: Ids, table: Table) -> str:
    if ids.clients is not None:
        return f"FROM {_CLIENTS} {table.value} AS t ON t.client_id = i.value"
    if ids.services is not None:
        return f"FROM {_SERVICES} channel_totals AS t INDEXED BY channel_totals_service ON t.service_id = i.value"
    return f"FROM {table.value} AS t"


def _periods(ids: Ids, part: Segment) -> str:
    table = part.table.value
    if ids.clients is not None:
        return f"""FROM {_through_periods(part)} {_CLIENTS} {table} AS t
                   ON t.period_start_s = p.period_start_s AND t.client_id = i.value"""
    if ids.services is not None:
        index = "INDEXED BY channel_periods_service" if part.table is Table.PERIODS else ""
        return f"""FROM {_through_periods(part)} {_SERVICES} {table} AS t {index}
                   ON t.period_start_s = p.period_start_s AND t.service_id = i.value"""
    return f"FROM {table} AS t"


def _records(ids: Ids, part: Segment) -> str:
    if ids.clients is not None:
        return f"""FROM {_through_periods(part)} {_CLIENTS} flow_records AS t INDEXED BY flow_records_channel
                   ON t.period_start_s = p.period_start_s AND t.client_id = i.value"""
    if ids.services is not None:
        return f"""FROM {_through_periods(part)} {_SERVICES}
                   channel_periods AS k INDEXED BY channel_periods_service
                   ON k.period_start_s = p.period_start_s AND k.service_id = i.value CROSS JOIN
                   flow_records AS t INDEXED BY flow_records_channel
                   ON t.period_start_s = k.period_start_s AND t.client_id = k.client_id
                   AND t.service_id = k.service_id"""
    return "FROM flow_records AS t"
