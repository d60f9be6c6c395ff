"""The sensor's statistics as metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    (COUNTER, "exchanges", "exchanges", "HTTP exchanges handed out"),
    (COUNTER, "exchanges_dropped", "exchanges_dropped", "HTTP exchanges lost for want of room"),
    (COUNTER, "alarms", "alarms", "Threshold alarms raised"),
    (COUNTER, "alarms_dropped", "alarms_dropped", "Threshold alarms lost because their queue was full"),
    (GAUGE, "frames_unacknowledged", "frames_unacknowledged", "Frames waiting for the correlator"),
    (COUNTER, "frames_dropped", "frames_dropped", "Frames that the spool had to drop, or lost"),
    (GAUGE, "spool_bytes", "spool_bytes", "Bytes on disk that wait for the correlator"),
    (COUNTER, "unclean_stops", "unclean_stops", "Runs with this spool that ended without a stop, ever"),
    (GAUGE, "spool_lag_s", "spool_lag_seconds", "For how long the oldest frame in the spool has waited"),
)


def metrics(stats: SensorStats) -> Iterator[Metric]:
    """Yield the metrics of a run's statistics."""
    for kind, field, name, doc in _METRICS:
        yield single(kind, _PREFIX + name, doc, getattr(stats, field))
    yield _by_reason("packets_rejected", "Packets not counted in any flow", stats.rejected)
    yield _by_reason("frames_lost", "Frames that the spool dropped or lost, by reason", stats.frames_lost)
    yield single(GAUGE, f"{_PREFIX}statistics_time_seconds", "When these were taken", stats.time_ns / 1e9)
    info = (stats.version, stats.source)
    yield Metric(GAUGE, f"{_PREFIX}info", "Its version and what it listens to", ("version", "source"), [(info, 1)])


def _by_reason(name: str, doc: str, counts: Mapping[str, int]) -> Metric:
    return Metric(COUNTER, _PREFIX + name, doc, ("reason",), [((reason,), count) for reason, count in counts.items()])
