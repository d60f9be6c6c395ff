"""The correlator's counters as metrics for Prometheus: its own, and what the store has of each sensor."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from common.metrics import COUNTER, GAUGE, HISTOGRAM, Buckets, Metric, single
from common.timespan import NS_PER_S
from correlator.rows import SensorRow

_PREFIX: Final = "tunnelwatch_correlator_"
_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BY_SENSOR: Final = (
    (COUNTER, "records_stored", "records_stored", "Records stored"),
    (COUNTER, "records_duplicate", "records_duplicate", "Records that were stored already"),
    (COUNTER, "records_refused", "records_refused", "Records refused"),
    (COUNTER, "frames_refused", "frames_refused", "Frames refused"),
    (COUNTER, "frames_duplicate", "frames_duplicate", "Frames that came again after they were done with"),
    (COUNTER, "frames_missing", "frames_missing", "Frames that never came"),
)


class Tally:
    """What a run of ``serve`` counts beside the store; written by one thread, read by others."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._commits = [0] * (len(_BOUNDS_S) + 1)
        self._commits_ns = 0

    def committed(self, took_ns: int) -> None:
        """Count a transaction and how long it took."""
        self._commits[bisect_left(_BOUNDS_S, took_ns / NS_PER_S)] += 1
        self._commits_ns += took_ns

    def commits(self) -> Buckets:
        """Return the transactions by how long they took."""
        counts = list(self._commits)
        at_most = tuple((bound, sum(counts[: place + 1])) for place, bound in enumerate(_BOUNDS_S))
        return Buckets(at_most, sum(counts), self._commits_ns / NS_PER_S)


def metrics(tally: Tally, rows: Iterable[SensorRow] | None, database_bytes: int) -> Iterator[Metric]:
    """Yield the metrics; ``rows`` are the sensors, None when the store could not be read."""
    yield single(
        HISTOGRAM, f"{_PREFIX}commit_seconds", "How long transactions of frames took, since the start", tally.commits()
    )
    yield Metric(
        COUNTER,
        f"{_PREFIX}refused",
        "Records and frames refused since the start",
        ("reason",),
        [((reason,), count) for reason, count in sorted(dict(tally.refused).items())],
    )
    yield single(GAUGE, f"{_PREFIX}database_bytes", "The database's file and its log", database_bytes)
    yield single(GAUGE, f"{_PREFIX}database_readable", "Whether the sensors could be read", int(rows is not None))
    if rows is not None:
        yield from _of_sensors(list(rows))


def _of_sensors(rows: list[SensorRow]) -> Iterator[Metric]:
    label = ("sensor",)
    for kind, field, name, doc in _BY_SENSOR:
        samples = [((row.sensor,), getattr(row, field)) for row in rows]
        yield Metric(kind, _PREFIX + name, f"{doc}, since the database was made", label, samples)
    contacts = [((row.sensor,), row.last_contact_ns / NS_PER_S) for row in rows]
    yield Metric(
        GAUGE, f"{_PREFIX}sensor_last_contact_timestamp_seconds", "When each sensor spoke last", label, contacts
    )
    told = [(row.sensor, row.stats) for row in rows if row.stats is not None]
    for field, doc in (
        ("spool_bytes", "Bytes that waited on the sensor at its latest statistics"),
        ("frames_unacknowledged", "Frames that waited on the sensor at its latest statistics"),
    ):
        values = [((sensor,), getattr(stats, field)) for sensor, stats in told]
        yield Metric(GAUGE, f"{_PREFIX}sensor_{field}", doc, label, values)
