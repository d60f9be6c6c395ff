"""How high the scores of ordinary traffic are, by hour or day: what an alarm budget is held by."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from common.timespan import NS_PER_S
from correlator.detect.alarm import Evidence, Severity
from correlator.detect.budget import DAY_S, Bucket, Calibration, Ranked, bucket
from correlator.detect.channel import Key
from correlator.detect.channelday import ChannelDay, kind_of
from correlator.detect.judge import ORDINARY_CAP

BASELINE: Final = "baseline/"
CHANNELS: Final = "channel/"
"""What the names of scores begin with."""
EVERY: Final = ""
"""In place of a symptom: all channels of a day."""
_KEEP: Final = "INSERT OR REPLACE INTO calibration_scores (scores_of, start_s, tests, highest) VALUES (?, ?, ?, ?)"
_LOAD: Final = """
SELECT scores_of, start_s, tests, highest FROM calibration_scores
WHERE substr(scores_of, 1, length(:prefix)) = :prefix AND start_s >= :oldest ORDER BY scores_of, start_s
"""

_DAY: Final = """
SELECT log10_odds, alarmed, tested, found FROM channel_days
WHERE day_s = ? AND client = ? AND peer = ? AND port = ? AND protocol = ?
"""
_KEEP_DAY: Final = """
INSERT OR REPLACE INTO channel_days (day_s, client, peer, port, protocol, log10_odds, alarmed, tested, found)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CLOSED: Final = "SELECT * FROM channel_days WHERE day_s = ? ORDER BY client, peer, port, protocol"
_COUNT: Final = """
INSERT INTO symptom_days (day_s, symptom, tested, found) VALUES (?, ?, ?, ?)
ON CONFLICT (day_s, symptom) DO UPDATE SET tested = tested + excluded.tested, found = found + excluded.found
"""
_ACKNOWLEDGED: Final = """
SELECT 1 FROM alarms WHERE kind = 'channel' AND client = :client AND acknowledged_ns IS NOT NULL
AND time_ns >= :start AND first_time_ns < :end AND (host = :peer OR substr(server, 1, length(:peer)) = :peer) LIMIT 1
"""
_OF_DAY: Final = """
SELECT alarm_id, severity, probability, evidence FROM alarms
WHERE kind = :kind AND time_ns >= :start AND first_time_ns >= :start AND first_time_ns < :end
"""

_evidence_decoder = msgspec.json.Decoder(list[Evidence])
_names_decoder = msgspec.json.Decoder(frozenset[str])
_decoder = msgspec.json.Decoder(tuple[float, ...])


def keep(conn: sqlite3.Connection, kind: str, scores: Bucket) -> None:
    """Keep the scores of an hour or a day, inside the caller's transaction."""
    conn.execute(_KEEP, (kind, scores.start_s, scores.tests, msgspec.json.encode(scores.highest).decode()))


def load(conn: sqlite3.Connection, prefix: str, oldest_s: int) -> dict[str, Calibration]:
    """Return the scores from a time on, by what their names go on with after the prefix."""
    found: dict[str, list[Bucket]] = {}
    for kind, start_s, tests, highest in conn.execute(_LOAD, {"prefix": prefix, "oldest": oldest_s}):
        found.setdefault(kind.removeprefix(prefix), []).append(Bucket(start_s, tests, _decoder.decode(highest)))
    return {kind: Calibration(tuple(buckets)) for kind, buckets in found.items()}


def note_days(conn: sqlite3.Connection, days: Iterable[ChannelDay]) -> None:
    """Add to what is known of channels' days, inside the caller's transaction: the highest odds, all symptoms."""
    rows = []
    for day in days:
        known = conn.execute(_DAY, (day.day_s, *day.key)).fetchone()
        if known is not None:
            odds, alarmed, tested, found = known
            day = day._replace(  # noqa: PLW2901 - the same day, with more in it
                log10_odds=max(odds, day.log10_odds),
                alarmed=bool(alarmed) or day.alarmed,
                tested=day.tested | _names_decoder.decode(tested),
                found=day.found | _names_decoder.decode(found),
            )
        rows.append((day.day_s, *day.key, day.log10_odds, day.alarmed, _names(day.tested), _names(day.found)))
    conn.executemany(_KEEP_DAY, rows)


def _names(names: Iterable[str]) -> str:
    return msgspec.json.encode(sorted(names)).decode()


def close_days(conn: sqlite3.Connection, before_s: int) -> None:
    """Sum the days before a time up, inside the caller's transaction.

    Channels that alarmed by their evidence and were not acknowledged are not ordinary traffic and stay out.
    """
    query = "SELECT DISTINCT day_s FROM channel_days WHERE day_s < ? ORDER BY day_s"
    for (day_s,) in conn.execute(query, (before_s,)).fetchall():
        scores: dict[str, list[float]] = {}
        tested_in: Counter[str] = Counter()
        found_in: Counter[str] = Counter()
        for _, client, peer, port, protocol, odds, alarmed, tested, found in conn.execute(_CLOSED, (day_s,)):
            key = Key(client, peer, port, protocol)
            if alarmed and not _dismissed(conn, day_s, key):
                continue
            scores.setdefault(kind_of(key), []).append(odds)
            tested_in.update(_names_decoder.decode(tested))
            found_in.update(_names_decoder.decode(found))
        for kind, some in scores.items():
            keep(conn, f"{CHANNELS}{kind}", bucket(day_s, len(some), some))
        channels = sum(len(some) for some in scores.values())
        conn.execute(_COUNT, (day_s, EVERY, channels, 0))
        conn.executemany(_COUNT, [(day_s, name, count, found_in[name]) for name, count in sorted(tested_in.items())])
        conn.execute("DELETE FROM channel_days WHERE day_s = ?", (day_s,))


def _dismissed(conn: sqlite3.Connection, day_s: int, key: Key) -> bool:
    values = {"client": key.client, "peer": key.peer, "start": day_s * NS_PER_S, "end": (day_s + DAY_S) * NS_PER_S}
    return conn.execute(_ACKNOWLEDGED, values).fetchone() is not None


def symptom_counts(conn: sqlite3.Connection, oldest_s: int) -> dict[str, tuple[int, int]]:
    """Return in how many channels of days from a time on each symptom was found, and tested for; EVERY has them all."""
    query = """SELECT symptom, sum(found), sum(tested) FROM symptom_days WHERE day_s >= ?
               GROUP BY symptom ORDER BY symptom"""
    return {symptom: (found, tested) for symptom, found, tested in conn.execute(query, (oldest_s,))}


def alarms_of_day(conn: sqlite3.Connection, kind: str, day_s: int) -> list[tuple[Ranked, frozenset[str]]]:
    """Return the alarms of a kind that began on a day, each with the names of its evidence."""
    values = {"kind": kind, "start": day_s * NS_PER_S, "end": (day_s + DAY_S) * NS_PER_S}
    found = []
    for alarm_id, severity, probability, text in conn.execute(_OF_DAY, values):
        evidence = _evidence_decoder.decode(text)
        weights = [item.log10_lr for item in evidence if item.log10_lr is not None]
        decisive = any(weight > ORDINARY_CAP for weight in weights)
        odds = sum(weights) if probability is not None else max(item.value for item in evidence)
        ranked = Ranked(alarm_id, odds, Severity(severity), decisive)
        found.append((ranked, frozenset(item.symptom for item in evidence)))
    return found


def lower(conn: sqlite3.Connection, alarm_id: str, note: Evidence) -> None:
    """Make a stored alarm low, with a note why; inside the caller's transaction."""
    row = conn.execute("SELECT evidence FROM alarms WHERE alarm_id = ?", (alarm_id,)).fetchone()
    if row is None:
        return
    evidence = [item for item in _evidence_decoder.decode(row[0]) if item.symptom != note.symptom]
    text = msgspec.json.encode([*evidence, note]).decode()
    conn.execute("UPDATE alarms SET severity = ?, evidence = ? WHERE alarm_id = ?", (Severity.LOW, text, alarm_id))
