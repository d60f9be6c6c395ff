"""Channels as the lists ask about them: all that are stored, and the figures of one period by period."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from common.timespan import NS_PER_S
from correlator.detect.listed import Contact, Figures

_FIGURES: Final = """
p.period_start_s, p.payload_bytes_out + p.payload_bytes_in, p.packets_out + p.packets_in, p.tcp_uptime_ns,
p.last_start_ns
"""
_NUMBERS: Final = """
(SELECT client_id FROM clients WHERE client = :client),
(SELECT service_id FROM services WHERE server = :server AND server_port = :port AND protocol = :protocol),
(SELECT host_id FROM hosts WHERE host = :host AND protocol = :protocol)
"""
_PERIODS: Final = "SELECT DISTINCT period_start_s FROM periods WHERE period_start_s BETWEEN :first AND :last"
_BY_SERVICE: Final = f"""
SELECT {_FIGURES} FROM ({_PERIODS}) AS q CROSS JOIN channel_periods AS p
ON p.period_start_s = q.period_start_s AND p.client_id = :client_id AND p.service_id = :service_id
WHERE p.first_ns IS NOT NULL
"""  # noqa: S608 - constant names
_BY_NAME: Final = f"""
SELECT {_FIGURES} FROM ({_PERIODS}) AS q CROSS JOIN host_channel_periods AS p
ON p.period_start_s = q.period_start_s AND p.client_id = :client_id AND p.host_id = :host_id
WHERE p.first_ns IS NOT NULL
"""  # noqa: S608 - constant names
_CHANNELS: Final = """
SELECT c.client, s.server, s.server_port, s.protocol, NULL, t.first_ns, t.last_start_ns
FROM channel_totals AS t
JOIN clients AS c ON c.client_id = t.client_id JOIN services AS s ON s.service_id = t.service_id
WHERE t.first_ns IS NOT NULL
"""
_NAMED_CHANNELS: Final = """
SELECT c.client, s.server, s.server_port, s.protocol, h.host, t.first_ns, t.last_start_ns
FROM host_channel_totals AS t
JOIN host_services AS r ON r.host_id = t.host_id AND r.client_id = t.client_id
JOIN clients AS c ON c.client_id = t.client_id JOIN services AS s ON s.service_id = r.service_id
JOIN hosts AS h ON h.host_id = t.host_id
WHERE t.first_ns IS NOT NULL
"""


def stored_contacts(conn: sqlite3.Connection) -> Iterator[Contact]:
    """Yield every channel that is stored, and every one by name on each service that it was reached on."""
    for query in (_CHANNELS, _NAMED_CHANNELS):
        for row in conn.execute(query):
            yield Contact._make((*row, (), None))


def figures_of(conn: sqlite3.Connection, contact: Contact, period_s: int) -> Iterator[Figures]:
    """Yield a channel's figures in the periods of its contact; those by name where it has a host."""
    values = {
        "client": contact.client,
        "server": contact.server,
        "port": contact.server_port,
        "protocol": contact.protocol,
        "host": contact.host,
    }
    client_id, service_id, host_id = conn.execute(f"SELECT {_NUMBERS}", values).fetchone()
    bounds = {
        "first": contact.first_ns // NS_PER_S // period_s * period_s,
        "last": contact.last_ns // NS_PER_S,
        "client_id": client_id,
        "service_id": service_id,
        "host_id": host_id,
    }
    for start_s, *figures in conn.execute(_BY_SERVICE if contact.host is None else _BY_NAME, bounds):
        yield Figures._make((start_s * NS_PER_S, *figures))
