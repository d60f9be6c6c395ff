"""Selections as SQL: time segments, and the tests on channels."""

from __future__ import annotations

from enum import Enum
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from common.errors import UserError
from correlator.rows import Selection

_CHANNEL_TESTS: Final = (
    ("c.protocol = :protocol", "protocol"),
    ("c.server_port = :server_port", "server_port"),
)


class Table(Enum):
    """A table that has figures, and the column that its rows are in time by."""

    PERIODS = "channel_periods"
    RECORDS = "flow_records"

    @property
    def time_column(self) -> str:
        """Its column, with the alias that queries give the table."""
        return "t.period_start_ns" if self is Table.PERIODS else "t.start_ns"


class Segment(NamedTuple):
    """A stretch of time that one table answers for; None is open."""

    table: Table
    since_ns: int | None
    until_ns: int | None


def segments(since_ns: int | None, until_ns: int | None, period_ns: int) -> list[Segment]:
    """Split a time range into whole periods, which the roll-up answers, and the edges beside them."""
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


def where(
    chosen: Selection, time_column: str, since_ns: int | None, until_ns: int | None
) -> tuple[str, dict[str, Any]]:
    """Return a WHERE clause on ``channels AS c`` and a time column, and its bound values."""
    tests: list[str] = []
    values: dict[str, Any] = {}
    for test, name in _CHANNEL_TESTS:
        value = getattr(chosen, name)
        if value is not None:
            tests.append(test)
            values[name] = value
    for name in ("client", "server"):
        wanted = getattr(chosen, name)
        if wanted is not None:
            tests.append(_address_test(f"c.{name}", name, wanted, values))
    if chosen.server_ports is not None:
        tests.append("c.server_port BETWEEN :first_port AND :last_port")
        values["first_port"], values["last_port"] = chosen.server_ports
    if chosen.host is not None:
        raise UserError("--host is answered by 'evolution' alone so far: leave it out, or look at 'top hosts'")
    if since_ns is not None:
        tests.append(f"{time_column} >= :since")
        values["since"] = since_ns
    if until_ns is not None:
        tests.append(f"{time_column} < :until")
        values["until"] = until_ns
    return ("WHERE " + " AND ".join(tests) if tests else ""), values


def _address_test(column: str, name: str, wanted: str, values: dict[str, Any]) -> str:
    """Return the test of a column of addresses as text; a network's are those that begin like its whole octets."""
    if "/" not in wanted:
        values[name] = wanted
        return f"{column} = :{name}"
    network = ip_network(wanted)
    if network.version != 4:
        raise UserError(f"networks of IPv6 cannot be asked for yet, and {wanted} is one: give an address")
    octets = -(-network.prefixlen // 8)
    tests = []
    for index, part in enumerate(network.subnets(new_prefix=8 * octets)):
        begin = ".".join(str(part.network_address).split(".")[:octets])
        values[f"{name}{index}"] = begin if octets == 4 else f"{begin}.*" if octets else "*.*"
        tests.append(f"{column} GLOB :{name}{index}")
    return f"({' OR '.join(tests)})"
