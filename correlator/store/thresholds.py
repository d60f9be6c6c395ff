"""Which flows and channels that new records belong to are over limits, asked inside the transaction that adds them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from common.timespan import NS_PER_S
from correlator.config import ChannelThresholds, FlowThresholds
from correlator.detect.alarm import MAX_FLOWS
from correlator.detect.thresholds import ChannelTotals, FlowTotals
from correlator.store.rollup import MAX_SUM

_NAMES: Final = "c.client, t.client_port, s.server, s.server_port"
_HOST: Final = "(SELECT h.host FROM hosts AS h WHERE h.host_id = t.host_id)"
_JOINED: Final = """
JOIN clients AS c ON c.client_id = t.client_id JOIN services AS s ON s.service_id = t.service_id
JOIN sensors AS n ON n.sensor_id = t.sensor_id
"""
_OVER: Final = """
((:bytes > 0 AND {bytes} > :bytes) OR (:packets > 0 AND {packets} > :packets)
 OR (:duration > 0 AND t.end_ns - t.flow_start_ns > :duration))
"""
_BYTES, _PACKETS = "t.payload_bytes_out + t.payload_bytes_in", "t.packets_out + t.packets_in"
# Flows of one record.
_WHOLE: Final = f"""
SELECT n.sensor, t.flow_id, {_NAMES}, {_BYTES}, {_PACKETS}, t.end_ns - t.flow_start_ns, t.end_ns, 0, {_HOST}
FROM flow_records AS t {_JOINED}
WHERE t.record_id BETWEEN :first AND :last AND t.part = 0 AND t.end_reason IS NOT NULL
AND {_OVER.format(bytes=_BYTES, packets=_PACKETS)}
"""  # noqa: S608 - constant names
# Flows of several: of those new the last is asked about, and all that are stored are added up.
_IN_PARTS: Final = f"""
SELECT n.sensor, t.flow_id, {_NAMES}, t.bytes, t.packets, t.end_ns - t.flow_start_ns, t.end_ns, t.open, {_HOST}
FROM (
    SELECT f.*, f.end_reason IS NULL AS open, (
        SELECT CAST(total(p.payload_bytes_out + p.payload_bytes_in) AS INTEGER) FROM flow_records AS p
        WHERE p.sensor_id = f.sensor_id AND p.flow_id = f.flow_id AND (p.part > 0 OR p.end_reason IS NULL)) AS bytes, (
        SELECT CAST(total(p.packets_out + p.packets_in) AS INTEGER) FROM flow_records AS p
        WHERE p.sensor_id = f.sensor_id AND p.flow_id = f.flow_id AND (p.part > 0 OR p.end_reason IS NULL)) AS packets
    FROM (
        SELECT *, max(part) FROM flow_records
        WHERE record_id BETWEEN :first AND :last AND (part > 0 OR end_reason IS NULL) GROUP BY sensor_id, flow_id
    ) AS f
) AS t {_JOINED}
WHERE {_OVER.format(bytes="t.bytes", packets="t.packets")}
"""  # noqa: S608 - constant names
# Asked after the roll-up of the groups in ``added``.
_CHANNELS: Final = """
SELECT p.period_start_s, p.client_id, p.service_id, c.client, s.server, s.server_port, s.protocol,
       p.payload_bytes_out + p.payload_bytes_in, p.packets_out + p.packets_in, p.tcp_uptime_ns, p.last_ns
FROM temp.added AS a JOIN channel_periods AS p
ON p.period_start_s = a.period_start_s AND p.client_id = a.client_id AND p.service_id = a.service_id
JOIN clients AS c ON c.client_id = p.client_id JOIN services AS s ON s.service_id = p.service_id
WHERE a.records > 0 AND (
    (:bytes > 0 AND p.payload_bytes_out + p.payload_bytes_in > :bytes)
    OR (:packets > 0 AND p.packets_out + p.packets_in > :packets)
    OR (:uptime > 0 AND p.tcp_uptime_ns > :uptime))
"""
_FLOWS: Final = """
SELECT DISTINCT flow_id FROM flow_records
WHERE record_id BETWEEN ? AND ? AND period_start_s = ? AND +client_id = ? AND service_id = ? ORDER BY record_id LIMIT ?
"""


def flows_over(conn: sqlite3.Connection, first: int, last: int, limits: FlowThresholds) -> Iterator[FlowTotals]:
    """Yield the flows of the records with these ids that are over a limit."""
    if not (limits.bytes or limits.packets or limits.duration_s):
        return
    values = {
        "first": first,
        "last": last,
        "bytes": limits.bytes,
        "packets": limits.packets,
        "duration": min(limits.duration_s * NS_PER_S, MAX_SUM),
    }
    for query in (_WHOLE, _IN_PARTS):
        for *plain, is_open, host in conn.execute(query, values).fetchall():
            yield FlowTotals._make((*plain, bool(is_open), host))


def channels_over(
    conn: sqlite3.Connection, first: int, last: int, limits: ChannelThresholds
) -> Iterator[ChannelTotals]:
    """Yield the channels in ``added`` that are over a limit in their period, with some flows of these records."""
    if not (limits.bytes or limits.packets or limits.tcp_uptime_s):
        return
    values = {
        "bytes": limits.bytes,
        "packets": limits.packets,
        "uptime": min(limits.tcp_uptime_s * NS_PER_S, MAX_SUM),
    }
    for period_s, client_id, service_id, *named in conn.execute(_CHANNELS, values).fetchall():
        of_channel = (first, last, period_s, client_id, service_id, MAX_FLOWS)
        flows = tuple(str(flow_id) for (flow_id,) in conn.execute(_FLOWS, of_channel))
        yield ChannelTotals._make((period_s * NS_PER_S, *named, flows))
