"""Which flows are open: begun by a record, and ended by none."""

from __future__ import annotations

import sqlite3
from typing import Final

_NEW: Final = "record_id BETWEEN :first AND :last AND (part > 0 OR end_reason IS NULL)"
_OPENED: Final = f"""
INSERT OR IGNORE INTO open_flows (sensor_id, flow_id)
SELECT t.sensor_id, t.flow_id FROM (
    SELECT DISTINCT sensor_id, flow_id FROM flow_records WHERE {_NEW} AND end_reason IS NULL
) AS t
WHERE NOT EXISTS (SELECT 1 FROM open_flows AS o WHERE o.sensor_id = t.sensor_id AND o.flow_id = t.flow_id)
AND NOT EXISTS (
    SELECT 1 FROM flow_records AS e WHERE e.sensor_id = t.sensor_id AND e.flow_id = t.flow_id
    AND (e.part > 0 OR e.end_reason IS NULL) AND e.end_reason IS NOT NULL)
"""  # noqa: S608 - constant tests
_ENDED: Final = f"""
DELETE FROM open_flows WHERE (sensor_id, flow_id) IN (
    SELECT sensor_id, flow_id FROM flow_records WHERE {_NEW} AND end_reason IS NOT NULL)
"""  # noqa: S608 - as above


def note_open(conn: sqlite3.Connection, first: int, last: int) -> None:
    """Take note of the flows that the records with these ids began and ended, in whatever order records came."""
    ids = {"first": first, "last": last}
    conn.execute(_OPENED, ids)
    conn.execute(_ENDED, ids)
