"""The flows behind an alarm, found by the time that it speaks of."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from common.addresses import parse_endpoint
from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.rows import AlarmRow, Selection
from correlator.store.columns import RECORD_EXPRESSIONS, record_of
from correlator.store.database import Store
from correlator.store.details import Details
from correlator.store.flows import parts_of
from correlator.views.alarms import flows_of
from correlator.views.merge import merge_parts

_PERIODS: Final = 200
"""So many periods are looked into, the latest first; the flows of an alarm began in those before its last sight."""
_FIND: Final = """
SELECT n.sensor, t.sensor_id, t.flow_id, max(t.record_id),
       t.part = 0 AND t.end_reason IS NOT NULL
FROM (SELECT DISTINCT period_start_s FROM periods WHERE period_start_s <= :until
      ORDER BY period_start_s DESC LIMIT :periods) AS q
CROSS JOIN flow_records AS t ON t.period_start_s = q.period_start_s
    AND t.client_id = (SELECT client_id FROM clients WHERE client = :client)
    AND (:server IS NULL OR t.service_id IN (
        SELECT service_id FROM services WHERE server = :server AND server_port = :port))
JOIN sensors AS n ON n.sensor_id = t.sensor_id
WHERE t.flow_id IN (SELECT CAST(value AS INTEGER) FROM json_each(:flows)) AND (:sensor IS NULL OR n.sensor = :sensor)
GROUP BY t.sensor_id, t.flow_id ORDER BY max(t.start_ns) DESC LIMIT :limit
"""
_ONE: Final = f"""
SELECT {", ".join(RECORD_EXPRESSIONS)} FROM flow_records AS t
JOIN clients AS c ON c.client_id = t.client_id JOIN services AS s ON s.service_id = t.service_id
WHERE t.record_id = ?
"""  # noqa: S608 - constant names


class AlarmFlow(NamedTuple):
    """A flow behind an alarm, its parts merged."""

    sensor: str
    record: FlowRecord


def alarm_flows(store: Store, row: AlarmRow, limit: int) -> list[AlarmFlow]:
    """Return flows of an alarm that are still stored, the latest first."""
    flows = flows_of(row)
    if row.client is None or not flows:
        return []
    server, port = (None, None) if row.server is None else parse_endpoint(row.server)
    values = {
        "until": row.time_ns // NS_PER_S,
        "periods": _PERIODS,
        "client": row.client,
        "server": server,
        "port": port,
        "sensor": row.sensor,
        "flows": json.dumps([flow for flow in flows if flow.isascii() and flow.isdigit()]),
        "limit": limit,
    }
    details = Details(store.conn)
    found = []
    for sensor, sensor_id, flow_id, record_id, alone in store.conn.execute(_FIND, values).fetchall():
        if alone:
            parts = [record_of(store.conn.execute(_ONE, (record_id,)).fetchone(), details.of(record_id))]
        else:
            parts = list(parts_of(store, Selection(protocol=None), sensor_id, flow_id, details))
        found.append(AlarmFlow(sensor, merge_parts(parts)))
    return found
