"""The sensor's statistics as metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from common.metrics import COUNTER, GAUGE, Metric, single
from common.records import SensorStats

_PREFIX: Final = "tunnelwatch_sensor_"
_METRICS: Final = (
    (COUNTER, "packets", "packets", "Packets read, accepted or not"),
    (COUNTER, "accepted", "packets_accepted", "Packets counted in a flow"),
    (COUNTER, "filtered", "packets_filtered", "Packets that the filter left out"),
    (COUNTER, "fragments", "packets_fragments", "IP fragments that count with others as one packet, or wait for them"),
    (COUNTER, "wire_bytes", "wire_bytes", "IP bytes of the accepted packets"),
    (COUNTER, "kernel_drops", "kernel_drops", "Packets the kernel dropped for want of room"),
    (COUNTER, "interface_drops", "interface_drops", "Packets the interface dropped"),
    (GAUGE, "flows_open", "flows_open", "Flows in the table"),
    (COUNTER, "flows_started", "flows_started", "Flows seen"),
    (COUNTER, "flows_evicted", "flows_evicted", "Flows ended early because the table was full"),
    (COUNTER, "records", "records", "Flow records handed out"),
    (COUNTER, "alarms", "alarms", "Threshold alarms raised"),
    (COUNTER, "alarms_dropped", "alarms_dropped", "Threshold alarms lost because their queue was full"),
    (GAUGE, "frames_unacknowledged", "frames_unacknowledged", "Frames waiting for the correlator"),
    (COUNTER, "frames_dropped", "frames_dropped", "Frames lost to the spool's bound"),
    (GAUGE, "spool_bytes", "spool_bytes", "Bytes on disk that wait for the correlator"),
    (GAUGE, "spool_lag_s", "spool_lag_seconds", "For how long the oldest frame in the spool has waited"),
)


def metrics(stats: SensorStats) -> Iterator[Metric]:
    """Yield the metrics of a run's statistics; one whose field there is not is left out."""
    values = stats._asdict()
    for kind, field, name, doc in _METRICS:
        if field in values:
            yield single(kind, _PREFIX + name, doc, values[field])
    yield Metric(
        COUNTER,
        f"{_PREFIX}packets_rejected",
        "Packets not counted in any flow",
        ("reason",),
        [((reason,), count) for reason, count in stats.rejected.items()],
    )
    yield single(GAUGE, f"{_PREFIX}statistics_time_seconds", "When these were taken", stats.time_ns / 1e9)
    info = (stats.version, stats.source)
    yield Metric(GAUGE, f"{_PREFIX}info", "Its version and what it listens to", ("version", "source"), [(info, 1)])
