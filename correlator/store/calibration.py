"""How high the scores of ordinary traffic are, by hour or day: what an alarm budget is held by."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from correlator.detect.budget import Bucket, Calibration

BASELINE: Final = "baseline/"
CHANNELS: Final = "channel/"
"""What the names of scores begin with."""
_KEEP: Final = "INSERT OR REPLACE INTO calibration_scores (scores_of, start_s, tests, highest) VALUES (?, ?, ?, ?)"
_LOAD: Final = """
SELECT scores_of, start_s, tests, highest FROM calibration_scores
WHERE substr(scores_of, 1, length(:prefix)) = :prefix AND start_s >= :oldest ORDER BY scores_of, start_s
"""

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
