"""Sensors on disk: when they spoke, their counters, their latest statistics set against those before."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from common.kinds import COUNTS_BY_NAME
from common.records import SensorStats, fields_of
from correlator.detect.sensors import Account
from correlator.rows import SensorRow

# The account's columns; what it shares with the statistics is theirs.
_OF_ACCOUNT: Final = ("run", "arrived_ns", "packets", "drops", "frames_dropped", "traffic_ns", "clock_offset_ns")
_ACCOUNT_COLUMNS: Final = tuple(f"account_{name}" for name in _OF_ACCOUNT)
_STATS: Final[tuple[str, ...]] = SensorStats._fields
# Kept as JSON.
_MAPS: Final = tuple(field.name for field in fields_of(SensorStats) if field.kind is COUNTS_BY_NAME)
_BOTH: Final = ", ".join((*_STATS, *_ACCOUNT_COLUMNS))
# What the row of a sensor has as columns of its own; its counters among them.
_PLAIN: Final = tuple(name for name in SensorRow._fields if name not in ("runs", "stats", "account"))
_COUNTERS: Final = tuple(name for name in _PLAIN if name.startswith(("records_", "frames_")))
_ADD: Final = f"""
INSERT INTO sensors (sensor, first_contact_ns, last_contact_ns, {", ".join(_COUNTERS)})
VALUES (:sensor, :now, :now, {", ".join(f":{name}" for name in _COUNTERS)})
ON CONFLICT (sensor) DO UPDATE SET last_contact_ns = max(last_contact_ns, :now),
    {", ".join(f"{name} = {name} + :{name}" for name in _COUNTERS)}
"""  # noqa: S608 - constant names
# A sensor that speaks again is back.
_CONTACT: Final = """
INSERT INTO sensors (sensor, first_contact_ns, last_contact_ns, link_contact_ns)
VALUES (:sensor, :heard, :heard, :heard)
ON CONFLICT (sensor) DO UPDATE SET last_contact_ns = max(last_contact_ns, :heard), link_contact_ns = :heard,
    retired_ns = CASE WHEN retired_ns < :heard THEN NULL ELSE retired_ns END
"""
# Sensors that say that they will speak again, or have given no statistics yet.
_WATCHED: Final = """
SELECT sensor, link_contact_ns FROM sensors
WHERE link_contact_ns IS NOT NULL AND retired_ns IS NULL AND (time_ns IS NULL OR heartbeat_s > 0)
"""


class Accounted(NamedTuple):
    """A sensor's latest statistics, and what was made of them."""

    stats: SensorStats
    account: Account | None


def count(conn: sqlite3.Connection, sensor: str, now_ns: int, counts: Mapping[str, int]) -> None:
    """Add to a sensor's counters and note the contact; the sensor is made when it is new."""
    added = {name: counts.get(name, 0) for name in _COUNTERS}
    conn.execute(_ADD, {"sensor": sensor, "now": now_ns, **added})


def number(conn: sqlite3.Connection, sensor: str, now_ns: int) -> int:
    """Return the number of a sensor, inside the caller's transaction; it is made when it is new."""
    conn.execute(
        "INSERT OR IGNORE INTO sensors (sensor, first_contact_ns, last_contact_ns) VALUES (?, ?, ?)",
        (sensor, now_ns, now_ns),
    )
    return int(conn.execute("SELECT sensor_id FROM sensors WHERE sensor = ?", (sensor,)).fetchone()[0])


def note_contacts(conn: sqlite3.Connection, heard_ns: Mapping[str, int]) -> None:
    """Note when sensors spoke over the link; those that were retired before are back."""
    conn.executemany(_CONTACT, [{"sensor": sensor, "heard": time_ns} for sensor, time_ns in heard_ns.items()])


def retire(conn: sqlite3.Connection, sensor: str, now_ns: int) -> bool:
    """Expect nothing of a sensor until it speaks again; return whether it is known."""
    done = conn.execute("UPDATE sensors SET retired_ns = ? WHERE sensor = ?", (now_ns, sensor))
    return done.rowcount == 1


def watched(conn: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return (sensor, its last contact over the link) of all that are expected to speak."""
    return conn.execute(_WATCHED).fetchall()


def set_stats(conn: sqlite3.Connection, sensor: str, stats: SensorStats, account: Account | None = None) -> None:
    """Keep a known sensor's latest statistics; without an account of them, older ones than those kept are left out."""
    maps = {name: msgspec.json.encode(getattr(stats, name)).decode() for name in _MAPS}
    values = {**stats._asdict(), **maps, "sensor": sensor}
    names = _STATS
    if account is None:
        test = "AND (time_ns IS NULL OR time_ns <= :time_ns)"
    else:
        test = ""
        values |= {f"account_{name}": getattr(account, name) for name in _OF_ACCOUNT}
        names = (*_STATS, *_ACCOUNT_COLUMNS)
    columns = ", ".join(f"{name} = :{name}" for name in names)
    conn.execute(f"UPDATE sensors SET {columns} WHERE sensor = :sensor {test}", values)  # noqa: S608 - constant names


def accounted(conn: sqlite3.Connection, sensor: str) -> Accounted | None:
    """Return a sensor's latest statistics, None when there are none."""
    query = f"SELECT {_BOTH} FROM sensors WHERE sensor = ? AND time_ns IS NOT NULL"  # noqa: S608 - constant names
    row = conn.execute(query, (sensor,)).fetchone()
    return None if row is None else _accounted(row)


def sensors(conn: sqlite3.Connection) -> list[SensorRow]:
    """Return every sensor, by name."""
    columns = ", ".join(f"s.{name}" for name in (*_PLAIN, *_STATS, *_ACCOUNT_COLUMNS))
    query = f"""SELECT (SELECT count(*) FROM sensor_runs AS r WHERE r.sensor = s.sensor), {columns}
                FROM sensors AS s ORDER BY s.sensor"""  # noqa: S608 - constant names
    return [_row(*row) for row in conn.execute(query)]


def _row(runs: int, *values: Any) -> SensorRow:
    plain: dict[str, Any] = dict(zip(_PLAIN, values, strict=False))
    both = values[len(_PLAIN) :]
    found = None if both[0] is None else _accounted(both)
    return SensorRow(**plain, runs=runs, stats=found and found.stats, account=found and found.account)


def _accounted(row: tuple[Any, ...]) -> Accounted:
    values: dict[str, Any] = dict(zip(_STATS, row, strict=False))
    stats = SensorStats(**{**values, **{name: msgspec.json.decode(values[name]) for name in _MAPS}})
    of_account = dict(zip(_OF_ACCOUNT, row[len(_STATS) :], strict=True))
    if of_account["run"] is None:
        return Accounted(stats, None)
    shared = {name: getattr(stats, name) for name in ("time_ns", "frames_unacknowledged", "spool_bytes")}
    return Accounted(stats, Account(**of_account, **shared))
