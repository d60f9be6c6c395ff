"""A store on which detection can be tried out: what it writes goes into temporary tables, the file is only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from common.timespan import NS_PER_S
from correlator.store.database import Store, reading
from correlator.store.meta import FLOWS_REMOVED, noted

KINDS: Final = ("channel", "baseline", "castro")
"""The alarms that detection raises from what is stored."""
_EMPTY: Final = (
    "detect_channels",
    "detect_flows",
    "detect_clients",
    "profile_cells",
    "learned_periods",
    "calibration_scores",
    "channel_days",
    "symptom_days",
)
_KINDS: Final = ", ".join(f"'{kind}'" for kind in KINDS)
_CHANGES: Final = f"""
WITH o AS (SELECT * FROM main.alarms WHERE kind IN ({_KINDS}) AND first_time_ns >= :since),
     n AS (SELECT * FROM temp.alarms WHERE kind IN ({_KINDS}) AND first_time_ns >= :since)
SELECT coalesce(n.alarm_id, o.alarm_id), coalesce(n.kind, o.kind), coalesce(n.time_ns, o.time_ns),
       o.severity, n.severity, coalesce(n.client, o.client), coalesce(n.server, o.server), coalesce(n.host, o.host),
       coalesce(n.message, o.message)
FROM (SELECT alarm_id FROM o UNION SELECT alarm_id FROM n) AS every
LEFT JOIN o ON o.alarm_id = every.alarm_id LEFT JOIN n ON n.alarm_id = every.alarm_id
WHERE n.severity IS NOT o.severity ORDER BY 3 DESC, 1
"""  # noqa: S608 - constant names


class Change(NamedTuple):
    """An alarm that would be there, be gone, or be of another severity."""

    alarm_id: str
    kind: str
    time_ns: int
    before: str | None
    after: str | None
    client: str | None
    server: str | None
    host: str | None
    message: str


@contextmanager
def rehearsing(path: Path) -> Iterator[Store]:
    """Open a store as it is now, with nothing detected yet; what is written is forgotten. UserError in one line."""
    with reading(path) as store:
        for table in (*_EMPTY, "alarms", "meta"):
            (text,) = store.conn.execute("SELECT sql FROM main.sqlite_schema WHERE name = ?", (table,)).fetchone()
            store.conn.execute(text.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        store.conn.execute("INSERT INTO temp.meta SELECT * FROM main.meta")
        # What thresholds said counts in what is learned; it is not raised again.
        store.conn.execute(f"INSERT INTO temp.alarms SELECT * FROM main.alarms WHERE kind NOT IN ({_KINDS})")  # noqa: S608 - constant names
        yield store


def changes(conn: sqlite3.Connection) -> list[Change]:
    """Return what is different from the alarms that are stored, newest first; only where flows are still there."""
    since_ns = noted(conn, FLOWS_REMOVED) * NS_PER_S
    return [Change(*row) for row in conn.execute(_CHANGES, {"since": since_ns})]
