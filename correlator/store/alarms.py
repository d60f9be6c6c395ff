"""Alarms on disk: a repeat of an alarm updates its row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from correlator.detect.alarm import MAX_FLOWS, Alarm, Evidence, Severity, alarm_id
from correlator.rows import AlarmRow, Selection
from correlator.views.alarms import evidence_of, flows_of

_COLUMNS: Final = ", ".join(AlarmRow._fields)
_REPLACE: Final = f"INSERT OR REPLACE INTO alarms ({_COLUMNS}) VALUES ({', '.join('?' * len(AlarmRow._fields))})"  # noqa: S608 - constant names
_ONE: Final = f"SELECT {_COLUMNS} FROM alarms WHERE alarm_id = ?"  # noqa: S608 - constant names


class News(NamedTuple):
    """An alarm that is new, or more severe than it was."""

    row: AlarmRow
    is_new: bool


Tell = Callable[[Sequence[News]], None]


def untold(_news: Sequence[News]) -> None:
    """Tell nobody of alarms."""


def store_alarms(conn: sqlite3.Connection, alarms: Iterable[Alarm]) -> list[News]:
    """Put alarms into the store, inside the caller's transaction; return those that are new or more severe now."""
    news: dict[str, News] = {}
    for alarm in alarms:
        found = conn.execute(_ONE, (alarm_id(alarm),)).fetchone()
        old = None if found is None else AlarmRow(*found)
        row = fresh(alarm) if old is None else _repeated(old, alarm)
        conn.execute(_REPLACE, row)
        if row.alarm_id in news:
            news[row.alarm_id] = news[row.alarm_id]._replace(row=row)
        elif old is None or Severity(row.severity).rank > Severity(old.severity).rank:
            news[row.alarm_id] = News(row, is_new=old is None)
    return list(news.values())


def is_unseen(conn: sqlite3.Connection, alarm: Alarm) -> bool:
    """Tell whether this sight of an alarm is later than what is stored of it."""
    found = conn.execute("SELECT time_ns FROM alarms WHERE alarm_id = ?", (alarm_id(alarm),)).fetchone()
    return found is None or found[0] < alarm.time_ns


def acknowledge(conn: sqlite3.Connection, prefix: str, now_ns: int) -> str | None:
    """Mark the one alarm whose id begins so as seen; return its id, None when none or several do."""
    found = [row.alarm_id for row in alarms_with_id(conn, prefix)]
    if len(found) != 1:
        return None
    conn.execute("UPDATE alarms SET acknowledged_ns = ? WHERE alarm_id = ?", (now_ns, found[0]))
    return found[0]


def alarms_with_id(conn: sqlite3.Connection, prefix: str) -> list[AlarmRow]:
    """Return the alarms whose id begins so."""
    query = f"SELECT {_COLUMNS} FROM alarms WHERE substr(alarm_id, 1, length(:prefix)) = :prefix LIMIT 100"  # noqa: S608
    return [AlarmRow(*row) for row in conn.execute(query, {"prefix": prefix})]


def select_alarms(conn: sqlite3.Connection, chosen: Selection) -> Iterator[AlarmRow]:
    """Yield the alarms of a selection, newest first."""
    tests: list[str] = []
    values: dict[str, object] = {}
    for test, name, value in (
        ("time_ns >= :since", "since", chosen.since_ns),
        ("time_ns < :until", "until", chosen.until_ns),
        ("client = :client", "client", chosen.client),
    ):
        if value is not None:
            tests.append(test)
            values[name] = value
    where = f"WHERE {' AND '.join(tests)}" if tests else ""
    query = f"SELECT {_COLUMNS} FROM alarms {where} ORDER BY time_ns DESC, alarm_id"  # noqa: S608 - bound values
    for row in conn.execute(query, values):
        yield AlarmRow(*row)


def count_by_severity(conn: sqlite3.Connection, chosen: Selection) -> dict[str, int]:
    """Return how many alarms of each severity there are in the selection's time."""
    query = """SELECT severity, count(*) FROM alarms
               WHERE (:since IS NULL OR time_ns >= :since) AND (:until IS NULL OR time_ns < :until)
               GROUP BY severity"""
    return dict(conn.execute(query, {"since": chosen.since_ns, "until": chosen.until_ns}))


def fresh(alarm: Alarm) -> AlarmRow:
    """Return an alarm as it is stored the first time."""
    return AlarmRow(
        alarm_id(alarm),
        alarm.kind,
        alarm.rule,
        alarm.severity,
        alarm.time_ns,
        alarm.time_ns,
        1,
        alarm.sensor,
        alarm.client,
        alarm.server,
        alarm.host,
        alarm.probability,
        alarm.message,
        msgspec.json.encode(alarm.evidence).decode(),
        msgspec.json.encode(alarm.flows[:MAX_FLOWS]).decode(),
        None,
    )


def _weight(row: AlarmRow, evidence: Iterable[Evidence]) -> tuple[int, float, list[float]]:
    return Severity(row.severity).rank, row.probability or 0.0, [item.value for item in evidence]


def _repeated(old: AlarmRow, alarm: Alarm) -> AlarmRow:
    """Return the stored alarm after one more sight of it: the larger value stands."""
    new = fresh(alarm)
    worse = _weight(new, alarm.evidence) >= _weight(old, evidence_of(old))
    flows = list(dict.fromkeys([*flows_of(old), *alarm.flows]))[:MAX_FLOWS]
    return (new if worse else old)._replace(
        first_time_ns=min(old.first_time_ns, alarm.time_ns),
        time_ns=max(old.time_ns, alarm.time_ns),
        seen_count=old.seen_count + 1,
        flows=msgspec.json.encode(flows).decode(),
        acknowledged_ns=old.acknowledged_ns,
    )
