"""The sensor's account of itself: one record for the correlator, one line for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import __version__
from common.records import SensorStats
from common.timespan import NS_PER_S
from sensor.capture.live import Drops
from sensor.flow._table import FlowTable
from sensor.http.exchanges import Exchanges
from sensor.inspect._content import Inspector

if TYPE_CHECKING:  # ZeroMQ takes as long to import as a small capture to read
    from sensor.ship.link import Shipper


def take_stats(  # noqa: PLR0913, PLR0917 - everything that counts
    table: FlowTable,
    source: str,
    now_ns: int,
    drops: Drops,
    shipper: Shipper | None,
    heartbeat_s: int = 0,
    exchanges: Exchanges | None = None,
) -> SensorStats:
    """Return the counters as they stand; the next ones follow after ``heartbeat_s``, if that is not 0."""
    return SensorStats(
        time_ns=now_ns,
        version=__version__,
        source=source[:255] if source.isprintable() else ascii(source)[:255],
        packets=table.packets,
        accepted=table.accepted,
        filtered=table.filtered,
        fragments=table.fragments,
        wire_bytes=table.wire_bytes,
        rejected=table.rejected_by_reason(),
        kernel_drops=drops.kernel,
        interface_drops=drops.interface,
        flows_open=table.flows_open,
        flows_started=table.flows_started,
        flows_evicted=table.flows_evicted,
        records=table.records,
        alarms=table.alarms,
        alarms_dropped=table.events_dropped,
        frames_unacknowledged=shipper.waiting if shipper else 0,
        frames_dropped=shipper.spool.frames_dropped if shipper else 0,
        spool_bytes=shipper.spool.size_bytes if shipper else 0,
        heartbeat_s=heartbeat_s,
        frames_lost=dict(shipper.spool.losses.by_reason) if shipper else {},
        spool_lag_s=shipper.spool.lag_ns // NS_PER_S if shipper else 0,
        unclean_stops=shipper.spool.unclean_stops if shipper else 0,
        exchanges=exchanges.records if exchanges else 0,
        exchanges_dropped=exchanges.dropped if exchanges else 0,
    )


def stats_line(stats: SensorStats, shipper: Shipper | None = None, inspector: Inspector | None = None) -> str:
    """Return the counters in one line, those that are zero and say nothing left out."""
    seen = stats.packets + stats.kernel_drops
    share = 100 * stats.kernel_drops / seen if seen else 0.0
    parts = [f"packets {stats.packets}", f"drops {stats.kernel_drops} ({share:.0f}%)"]
    rejected = sum(stats.rejected.values())
    if rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in stats.rejected.items())
        parts.append(f"rejected {rejected} ({reasons})")
    parts.append(f"flows {stats.flows_started} ({stats.flows_open} open)")
    parts.append(f"records {stats.records}")
    for name, count in (
        ("filtered", stats.filtered),
        ("fragments", stats.fragments),
        ("interface drops", stats.interface_drops),
        ("evicted", stats.flows_evicted),
        ("exchanges", stats.exchanges),
        ("exchanges dropped", stats.exchanges_dropped),
        ("alarms", stats.alarms),
        ("alarms dropped", stats.alarms_dropped),
        ("content given up", inspector.given_up if inspector else 0),
        ("facts failed", inspector.failed if inspector else 0),
        ("frames waiting", stats.frames_unacknowledged),
        ("spool lag s", stats.spool_lag_s),
        ("frames dropped", stats.frames_dropped),
        ("frames refused", shipper.refused if shipper else 0),
        ("frames resent", shipper.resends if shipper else 0),
        ("bad answers", shipper.bad_answers if shipper else 0),
        ("unclean stops", stats.unclean_stops),
        ("spool damage", shipper.spool.damaged if shipper else 0),
    ):
        if count:
            parts.append(f"{name} {count}")
        if name == "frames dropped" and stats.frames_lost:
            parts[-1] += f" ({', '.join(f'{reason} {lost}' for reason, lost in stats.frames_lost.items())})"
    return ", ".join(parts)


def drops_line(lost: Drops, packets: int, buffer_bytes: int) -> str:
    """Return what was lost since the last such line, of how many, and what helps. ``packets`` were not lost."""
    parts = []
    seen = packets + lost.kernel + lost.interface
    if lost.kernel:
        parts.append(
            f"the kernel dropped {lost.kernel} of {seen} packets ({_percent(lost.kernel, seen)}): raise --buffer-bytes "
            f"(now {buffer_bytes}), or let less through with a filter or a shorter --snap-length"
        )
    if lost.interface:
        parts.append(
            f"the interface dropped {lost.interface} of {seen} packets ({_percent(lost.interface, seen)}) before the "
            "kernel had them: raise its ring, see ethtool -g"
        )
    return "; ".join(parts)


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.1f}%" if share >= 0.1 else "less than 0.1%"
