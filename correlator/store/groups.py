"""Figures of clients, services and channels over whole periods or all time: grouped, sorted and cut short by SQL.

What roll-ups cannot answer alone, a part of a period or a host name, is ``queries.channels``' business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from common.records import PROTOCOLS
from correlator.rows import ChannelRow, ClientRow, Overall, Selection, ServiceRow
from correlator.store.database import Store
from correlator.store.queries import GROUPED, figures_sql, named, plain, plan, rows_of
from correlator.store.where import Ids, Segment, Source, Table, ids_of, its_protocol, source
from correlator.views.figures import Figures, figures_of

# The columns of Figures in the queries here, by the names that people sort by.
_FIELDS: Final[Mapping[str, str]] = {
    "connections": "g.f0", "packets_out": "g.f1", "packets_in": "g.f2", "bytes_out": "g.f3", "bytes_in": "g.f4",
    "tcp_uptime_s": "g.f5", "channel_uptime_s": "g.f6", "first": "g.f7", "last": "g.f8", "services": "g.counted",
    "clients": "g.counted",
}  # fmt: skip
_ENDPOINT: Final = "iif(instr(s.server, ':'), '[' || s.server || ']', s.server) || ':' || s.server_port"
_KNOWN_PROTOCOLS: Final = " ".join(f"WHEN {number} THEN '{name}'" for number, name in PROTOCOLS.items())
_PROTOCOL: Final = f"CASE s.protocol {_KNOWN_PROTOCOLS} ELSE s.protocol || '' END"
# Figures of several groups.
_TOGETHER: Final = ", ".join(
    f"{aggregate}(t.f{place}) AS f{place}" for place, aggregate in enumerate(["sum"] * 7 + ["min", "max", "max"])
)
# Names as text, in the order that breaks ties in views.
_CLIENT: Final = "c.client"
_SERVICE: Final = f"{_ENDPOINT}, {_PROTOCOL}"
_MORE: Final = 50
"""How many times as many channels as are wanted are looked at, because some may be of another protocol."""


class First(NamedTuple):
    """The first so many of a list sorted by a field."""

    field: str
    ascending: bool
    limit: int


def sortable(field: str) -> bool:
    """Tell whether SQL can sort by a field of the views."""
    return field in _FIELDS


def rolled(store: Store, chosen: Selection) -> Segment | None:
    """Return the segment that is the whole selection, None where roll-ups alone do not answer for it."""
    parts = plan(store, chosen)
    return parts[0] if len(parts) == 1 and parts[0].table is not Table.RECORDS else None


def clients(store: Store, chosen: Selection, part: Segment, first: First | None = None) -> Iterator[ClientRow]:
    """Yield the figures of every client, or of the first ones."""
    ids = ids_of(store.conn, chosen)
    if part.table is Table.TOTALS and ids.services is None:
        came = _by_client(ids, chosen)
        grouped = f"SELECT t.client_id, sum(t.services) AS counted, {_sums(chosen)} {came}"
        values: dict[str, Any] = {"clients": json.dumps(ids.clients)}
    else:
        grouped, values = _from_channels(store, chosen, ids, part, "t.client_id")
    query = f"""SELECT c.client, g.counted, {GROUPED} FROM ({grouped} GROUP BY t.client_id) AS g
                JOIN clients AS c ON c.client_id = g.client_id WHERE g.f7 IS NOT NULL {_order(first, _CLIENT)}"""  # noqa: S608 - constant names, bound values
    for client, services, *figures in rows_of(store.conn, query, _bound(values, chosen, first)):
        yield ClientRow(client, services, figures_of(figures))


def services(store: Store, chosen: Selection, part: Segment, first: First | None = None) -> Iterator[ServiceRow]:
    """Yield the figures of every service, or of the first ones."""
    ids = ids_of(store.conn, chosen)
    values: dict[str, Any] = {}
    if part.table is Table.TOTALS and ids.clients is None:
        test = "true" if ids.services is None else "t.service_id IN (SELECT value FROM json_each(:services))"
        values = {"services": json.dumps(ids.services)}
        grouped = f"""SELECT t.service_id, t.clients AS counted, {named(plain(_figures(chosen)))}
                      FROM service_totals AS t WHERE {test}"""  # noqa: S608 - constant names
    else:
        grouped, values = _from_channels(store, chosen, ids, part, "t.service_id")
        grouped += " GROUP BY t.service_id"
    query = f"""SELECT s.server, s.server_port, s.protocol, g.counted, {GROUPED} FROM ({grouped}) AS g
                JOIN services AS s ON s.service_id = g.service_id
                WHERE (:protocol IS NULL OR s.protocol = :protocol) AND g.f7 IS NOT NULL {_order(first, _SERVICE)}"""  # noqa: S608 - constant names, bound values
    for server, port, protocol, clients, *figures in rows_of(store.conn, query, _bound(values, chosen, first)):
        yield ServiceRow(server, port, protocol, clients, figures_of(figures))


def channels(store: Store, chosen: Selection, part: Segment, first: First) -> Iterator[ChannelRow]:
    """Yield the figures of the first channels."""
    ids = ids_of(store.conn, chosen)
    came = source(ids, chosen, part, store.built.period_s)
    values = _bound(came.values, chosen, first)
    figures, grouped, least = (named(_figures(chosen)), "GROUP BY t.client_id, t.service_id", "")
    if part.table is Table.TOTALS:
        figures, grouped = named(plain(_figures(chosen))), ""
        last = _last_value(store, chosen, came, first)
        if last is not None:  # names are needed of no more than those that are shown, and of their equals
            least, values["last"] = f"AND {_FIELDS[first.field]} {'<=' if first.ascending else '>='} :last", last
    query = f"""SELECT g.client_id << 32 | g.service_id, c.client, s.server, s.server_port, s.protocol, {GROUPED}
                FROM (SELECT t.client_id, t.service_id, {figures} {came.sql} {grouped}) AS g
                JOIN clients AS c ON c.client_id = g.client_id JOIN services AS s ON s.service_id = g.service_id
                WHERE (:protocol IS NULL OR s.protocol = :protocol) AND g.f7 IS NOT NULL {least}
                {_order(first, f"{_CLIENT}, {_SERVICE}")}"""  # noqa: S608 - constant names, bound values
    for row in rows_of(store.conn, query, values):
        yield ChannelRow._make((*row[:5], Figures._make(row[5:])))


def _last_value(store: Store, chosen: Selection, came: Source, first: First) -> int | None:
    """Return the value of the last of the first channels over all time; None where that is not told at once.

    Whose protocol a channel is of takes long to look up, so that is done for a part of them that is enough where
    not nearly all are of another one.
    """
    query = f"""SELECT g.value FROM (
                    SELECT {_FIELDS[first.field]} AS value, g.service_id
                    FROM (SELECT t.service_id, {named(plain(_figures(chosen)))} {came.sql}) AS g
                    WHERE g.f7 IS NOT NULL ORDER BY value {_direction(first)} LIMIT :limit * {_MORE}) AS g
                JOIN services AS s ON s.service_id = g.service_id WHERE :protocol IS NULL OR s.protocol = :protocol
                ORDER BY g.value {_direction(first)} LIMIT 1 OFFSET :limit - 1"""  # noqa: S608 - constant names, bound values
    found = store.conn.execute(query, _bound(came.values, chosen, first)).fetchone()
    return None if found is None else int(found[0])


def overall(store: Store, chosen: Selection) -> Overall | None:
    """Return what everything that was ever stored amounts to; None for a selection of anything less."""
    part = rolled(store, chosen)
    ids = ids_of(store.conn, chosen)
    if part is None or part.table is not Table.TOTALS or ids != Ids(None, None):
        return None
    query = f"""SELECT count(DISTINCT t.client_id), sum(t.services), {_figures(chosen)} FROM client_totals AS t
                WHERE {its_protocol(Table.ALL_PERIODS)}"""  # noqa: S608 - constant names, bound values
    values = {"protocol": chosen.protocol}
    ((clients_count, channels_count, *figures),) = rows_of(store.conn, query, values)
    counting = f"SELECT count(*) FROM service_totals AS t WHERE {its_protocol(Table.TOTALS)}"  # noqa: S608 - as above
    (services_count,) = store.conn.execute(counting, values).fetchone()
    if not clients_count:
        return Overall(0, 0, 0, None)
    return Overall(clients_count, services_count, channels_count, Figures._make(figures))


def _figures(chosen: Selection) -> str:
    return figures_sql(Table.PERIODS, wire=chosen.wire)


def _sums(chosen: Selection) -> str:
    return named(_figures(chosen))


def _by_client(ids: Ids, chosen: Selection) -> str:
    tests = "true" if ids.clients is None else "t.client_id IN (SELECT value FROM json_each(:clients))"
    of_protocol = "" if chosen.protocol is None else "AND t.protocol = :protocol"
    return f"FROM client_totals AS t WHERE {tests} {of_protocol}"


def _from_channels(store: Store, chosen: Selection, ids: Ids, part: Segment, key: str) -> tuple[str, dict[str, Any]]:
    """Return the query, but for its GROUP BY, that groups channels by one of their sides and counts the other.

    A channel that only stood up, with no record in that time, is in no view.
    """
    came = source(ids, chosen, part, store.built.period_s)
    channels = f"{came.sql} AND {its_protocol(part.table)}"
    if part.table is Table.TOTALS:
        return f"SELECT {key}, count(*) AS counted, {_sums(chosen)} {channels}", came.values
    each = f"SELECT t.client_id, t.service_id, {_sums(chosen)} {channels} GROUP BY t.client_id, t.service_id"
    query = f"SELECT {key}, count(*) AS counted, {_TOGETHER} FROM ({each}) AS t WHERE t.f7 IS NOT NULL"  # noqa: S608 - constant names
    return query, came.values


def _order(first: First | None, names: str) -> str:
    if first is None:
        return ""
    return f"ORDER BY {_FIELDS[first.field]} {_direction(first)}, {names} LIMIT :limit"


def _direction(first: First) -> str:
    return "ASC" if first.ascending else "DESC"


def _bound(values: Mapping[str, Any], chosen: Selection, first: First | None) -> dict[str, Any]:
    return {**values, "protocol": chosen.protocol, **({} if first is None else {"limit": first.limit})}
